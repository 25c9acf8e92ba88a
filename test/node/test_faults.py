"""Faults injected while frames flow: the node lives, says what is wrong, recovers, and loses no good frame."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from fault_suite import FAULTS, as_markdown, graphs, run, twice

from fastdepth_ros.node.shutdown import EXIT_CODE

CORE = (
    "the camera stops",
    "truncated images",
    "camera_info of another size",
    "stamps 5 s in the future",
    "the backend hangs once",
)


def outcomes_of(names, model):
    with graphs(model) as graph_for:
        outcomes = []
        for fault in (fault for fault in FAULTS if fault.name in names):
            graph = graph_for(fault)
            outcomes.append(run(graph, fault))
            assert not twice(graph)
            yield outcomes[-1], graph
    print("\n" + as_markdown(outcomes))


@pytest.mark.timeout(240)
def test_the_node_tells_a_fault_recovers_and_loses_no_frame_in_vain(domain, artifact_folder):
    outcomes = list(outcomes_of(CORE, artifact_folder))
    assert [outcome.fault.name for outcome, _ in outcomes] == list(CORE)
    assert [outcome.lost - outcome.fault.lost for outcome, _ in outcomes if outcome.lost > outcome.fault.lost] == []
    assert outcomes[-1][1].exit_codes == []


@pytest.mark.slow
def test_every_fault(domain, artifact_folder):
    codes = []
    for outcome, graph in outcomes_of([fault.name for fault in FAULTS], artifact_folder):
        assert outcome.lost <= outcome.fault.lost, outcome
        codes = codes if outcome.fault.simulated else list(graph.exit_codes)
    assert codes == [EXIT_CODE, 1]
