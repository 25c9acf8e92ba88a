"""Findings on /diagnostics: each has a message and a remedy, and the page lists all of them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from rclpy.time import Time

from fastdepth_ros.node.camera import StampWatch
from fastdepth_ros.node.clock import FIRST_S, ClockWatch
from fastdepth_ros.node.diagnostics.findings import ERROR, KINDS, OK, TASKS, WARN, Finding, causes, worst
from fastdepth_ros.node.diagnostics.health import HealthInput, Inputs, findings
from fastdepth_ros.node.diagnostics.report import LOG_PERIOD_S, Reporter, diagnostic_array
from fastdepth_ros.node.diagnostics.statistics import Snapshot, Statistics
from fastdepth_ros.node.parameters import Settings

WELL = Inputs("/image", "sensor_msgs/msg/Image", 1, 0, {}, [], [], "/camera_info", 1)
CALM = Snapshot(10.0, 10.0, {}, {}, {"received": 10, "published": 10}, {}, 0, 20.0, 15.0, 0.1)
LOOK = HealthInput(Settings(), CALM, WELL)


def camera_info(fault: str, inputs: Inputs) -> HealthInput:
    """Frames whose camera_info has a fault, for which their depth is unscaled."""
    news, details = {fault: 1, "unscaled": 1}, {fault: "the very cause", "unscaled": "the very cause"}
    return replace(LOOK, inputs=inputs, snapshot=replace(CALM, news=news, details=details))


CASES = {
    "paused": replace(LOOK, paused="/fastdepth/enable"),
    "idle": replace(LOOK, idle=True, settings=Settings(min_rate_hz=20.0), snapshot=replace(CALM, rate_out_hz=0.0)),
    "not_metric": replace(LOOK, relative_model="midas"),
    "implausible": replace(
        LOOK, snapshot=replace(CALM, news={"implausible": 9}, details={"implausible": "1e-05 to 0.001 m"})
    ),
    "no_publisher": replace(
        LOOK,
        inputs=replace(WELL, image_publishers=0, images_elsewhere=["/eye/image_raw"]),
        snapshot=replace(CALM, silent_s=3.0),
    ),
    "no_frames": replace(LOOK, snapshot=replace(CALM, silent_s=3.0)),
    "nothing_arrives": replace(LOOK, inputs=replace(WELL, best_effort=1), snapshot=replace(CALM, silent_s=3.0)),
    "frames_lost": replace(LOOK, snapshot=replace(CALM, news={"lost": 7})),
    "incompatible_qos": replace(LOOK, inputs=replace(WELL, incompatible={"/eye": "best effort, not reliable"})),
    "wrong_type": replace(LOOK, inputs=replace(WELL, image_publishers=0, other_types=["std_msgs/msg/String"])),
    "unreadable": replace(LOOK, snapshot=replace(CALM, news={"unreadable": 2}, details={"unreadable": "what8"})),
    "no_picture": replace(LOOK, snapshot=replace(CALM, news={"no_picture": 9})),
    "frame_id_unusable": replace(LOOK, snapshot=replace(CALM, news={"frame_id_unusable": 9})),
    "bits_risen": replace(
        LOOK, snapshot=replace(CALM, news={"bits_risen": 1}, details={"bits_risen": "from 10 to 12"})
    ),
    "output_qos": replace(LOOK, unfit_listeners={"/rviz": "transient local"}, unfit_topics="/depth/points"),
    "camera_info_awaited": replace(LOOK, snapshot=replace(CALM, news={"held": 3})),
    "camera_info_missing": camera_info("camera_info_missing", replace(WELL, info_publishers=0)),
    "camera_info_silent": camera_info("camera_info_missing", WELL),
    "camera_info_mismatch": camera_info("camera_info_mismatch", WELL),
    "camera_info_uncalibrated": camera_info("camera_info_uncalibrated", WELL),
    "camera_needed": replace(
        LOOK, snapshot=replace(CALM, news={"camera_needed": 3}, details={"camera_needed": "there is no camera_info"})
    ),
    "unscaled": replace(LOOK, snapshot=replace(CALM, news={"unscaled": 1}, details={"unscaled": "the camera"})),
    "not_undistorted": replace(
        LOOK, snapshot=replace(CALM, news={"not_undistorted": 1}, details={"not_undistorted": "an odd lens"})
    ),
    "focal_differs": replace(
        LOOK, snapshot=replace(CALM, news={"focal_differs": 1}, details={"focal_differs": "500 px, 600 px"})
    ),
    "stamp_zero": replace(LOOK, snapshot=replace(CALM, news={"stamp_zero": 1}, details={"stamp_zero": "0.0"})),
    "stamp_future": replace(LOOK, snapshot=replace(CALM, news={"stamp_future": 1}, details={"stamp_future": "5.0"})),
    "stamp_past": replace(
        LOOK, snapshot=replace(CALM, news={"stamp_past": 9}, details={"stamp_past": "1.8e9"}, oldest_ms=1.8e12)
    ),
    "stamp_jump": replace(LOOK, snapshot=replace(CALM, news={"stamp_jump": 1}, details={"stamp_jump": "-3.0"})),
    "no_clock": replace(LOOK, clock={"no_clock": 0.0}, snapshot=replace(CALM, silent_s=9.0)),
    "clock_awaited": replace(LOOK, clock={"clock_awaited": 0.0}, snapshot=replace(CALM, silent_s=9.0)),
    "clock_still": replace(LOOK, clock={"clock_still": 12.0}, snapshot=replace(CALM, silent_s=9.0)),
    "clock_jump": replace(LOOK, clock={"clock_jump": -60.0}),
    "old_frames": replace(LOOK, snapshot=replace(CALM, oldest_ms=1500.0)),
    "low_rate": replace(LOOK, settings=Settings(min_rate_hz=20.0)),
    "failed": replace(LOOK, snapshot=replace(CALM, news={"failed": 3}, details={"failed": "RuntimeError: lost"})),
    "no_output": replace(LOOK, snapshot=replace(CALM, stalled_snapshots=4)),
    "backend_slow": replace(LOOK, busy_s=1.5),
    "backend_hung": replace(LOOK, reloading=True),
}
CALM_CASES = ("clock_awaited", "idle")
STATES = {
    "unconfigured",
    "loading",
    "inactive",
    "finalized",
    "cannot_run",
    "camera_ended",
    "backend_lost",
}  # that the node tells by itself


def test_nothing_is_found_where_nothing_is_wrong():
    assert findings(LOOK) == []


@pytest.mark.parametrize("name", CASES)
def test_a_case_has_its_finding_alone_with_words_and_remedy(name):
    (finding,) = findings(CASES[name])
    assert finding.name == name
    assert finding.kind.task in TASKS and finding.level in ((OK,) if name in CALM_CASES else (WARN, ERROR))
    assert "Remedy: " in finding.message and "{" not in finding.message.replace("{data: true}", "")


def test_what_a_camera_info_lacks_names_what_follows_from_it():
    names = [name for name in CASES if name.startswith("camera_info_") and name != "camera_info_awaited"]
    told = {name: findings(CASES[name])[0].message for name in names}
    assert len({text.partition(". Remedy")[0] for text in told.values()}) == len(told) == 4
    for text in told.values():
        assert "no depth/camera_info" in text and "not scaled" in text
    look = CASES["camera_info_mismatch"]
    (finding,) = findings(replace(look, snapshot=replace(look.snapshot, news={"camera_info_mismatch": 1})))
    assert "the very cause" in finding.message and "not scaled" not in finding.message


def test_every_finding_of_the_table_is_tested_or_told_by_the_nodes_state():
    assert set(CASES) | STATES == set(KINDS)


def test_every_status_has_the_hardware_id():
    array = diagnostic_array(Time(), "fastdepth", "front_camera", [Finding("idle", {"topic": "/depth"})], {}, CALM)
    assert {status.hardware_id for status in array.status} == {"front_camera"} and len(array.status) == len(TASKS)


def test_the_worst_is_told_first():
    assert worst([]) is None
    assert worst([Finding("old_frames"), Finding("failed"), Finding("backend_slow")]).name == "failed"


STALLED = replace(CALM, rate_out_hz=0.0, stalled_snapshots=4)


@pytest.mark.parametrize(
    ("look", "told"),
    [
        (
            replace(LOOK, snapshot=replace(STALLED, news={"unreadable": 9}), settings=Settings(min_rate_hz=5.0)),
            "unreadable",
        ),
        (replace(LOOK, snapshot=replace(STALLED, news={"failed": 9})), "failed"),
        (replace(LOOK, snapshot=STALLED, reloading=True), "backend_hung"),
        (replace(LOOK, snapshot=replace(STALLED, slowest_ms=4e3, oldest_ms=4e3)), "backend_slow"),
        (replace(LOOK, snapshot=replace(CALM, news={"stamp_zero": 9}, oldest_ms=1.8e12)), "stamp_zero"),
        (replace(LOOK, snapshot=replace(CALM, news={"stamp_past": 9}, oldest_ms=1.8e12)), "stamp_past"),
        (replace(LOOK, snapshot=replace(CALM, news={"stamp_future": 9}), clock={"no_clock": 0.0}), "no_clock"),
        (
            replace(LOOK, snapshot=replace(CALM, news={"lost": 9}, rate_out_hz=1.0), settings=Settings(min_rate_hz=5)),
            "frames_lost",
        ),
    ],
)
def test_what_follows_from_another_finding_is_not_told_beside_it(look, told):
    assert [finding.name for finding in findings(look)] == [told]


def test_a_cause_is_as_grave_as_what_follows_from_it():
    some = findings(replace(LOOK, snapshot=replace(CALM, news={"unreadable": 2})))
    every = findings(replace(LOOK, snapshot=replace(STALLED, news={"unreadable": 9})))
    assert [finding.level for finding in some + every] == [WARN, ERROR]
    assert worst([Finding("failed"), *every]).name == "unreadable"


def test_causes_are_findings_and_follow_from_nothing_in_a_circle():
    for name, kind in KINDS.items():
        for cause in kind.follows_from:
            assert cause in KINDS and name not in KINDS[cause].follows_from
    assert causes([Finding(name) for name in KINDS])


def test_a_new_publisher_is_not_blamed_for_the_silence_before_it():
    for name in ("no_frames", "nothing_arrives"):
        look = CASES[name]
        assert findings(replace(look, inputs=replace(look.inputs, known_s=0.1))) == []


def test_age_that_is_not_ours_is_told_with_what_passed_in_the_node():
    (finding,) = findings(replace(LOOK, snapshot=replace(CALM, oldest_ms=2000.0, longest_ms=20.0)))
    assert "2000 ms old" in finding.message and "the node took up to 20 ms of it" in finding.message


def test_stamps_of_long_ago_are_not_told_where_any_age_is_allowed():
    look = replace(CASES["stamp_past"], settings=Settings(max_age_ms=0.0))
    assert findings(look) == []


def test_lost_frames_are_told_with_the_topic_that_lost_them():
    look = replace(LOOK, snapshot=replace(CALM, news={"lost": 7}, details={"lost": "/image/compressed"}))
    (finding,) = findings(look)
    assert "/image/compressed" in finding.message


S = 1_000_000_000


@pytest.mark.parametrize(
    ("stamps", "wrong"),
    [
        ([(100, 100), (101, 101)], set()),
        ([(0, 100)], {"stamp_zero"}),
        ([(-1, 100)], {"stamp_zero"}),
        ([(7, 1_800_000_000)], {"stamp_past"}),  # since boot
        ([(92, 100)], set()),
        ([(105, 100)], {"stamp_future"}),
        ([(100, 100), (100, 101)], {"stamp_jump"}),
        ([(100, 100), (97, 101)], {"stamp_jump"}),
        ([(100, 107), (106, 107.5)], {"stamp_jump"}),
        ([(100, 100), (130, 130)], set()),  # a camera that rested
    ],
)
def test_a_stamp_is_believed_as_long_as_it_goes_with_time(stamps, wrong):
    watch = StampWatch()
    found = [watch.check(int(stamp * S), int(now * S)) for stamp, now in stamps]
    assert set(found[-1]) == wrong


def test_after_a_jump_of_the_clock_frames_on_their_way_are_not_blamed():
    watch = StampWatch()
    watch.check(100 * S, 100 * S)
    watch.reset(40 * S, lenient_s=1.0)
    assert watch.check(100 * S, 40 * S) == {}
    assert watch.check(42 * S, 42 * S) == {}


def test_details_and_extremes_are_of_the_time_since_the_last_snapshot():
    statistics = Statistics()
    statistics.count("failed", "first")
    statistics.count("failed", "second")
    statistics.count_published({"age": 30.0, "infer": 10.0})
    snapshot = statistics.snapshot()
    assert (snapshot.details, snapshot.oldest_ms, snapshot.slowest_ms) == ({"failed": "second"}, 30.0, 10.0)
    snapshot = statistics.snapshot()
    assert (snapshot.details, snapshot.oldest_ms, snapshot.news) == ({}, 0.0, {})


def test_frames_that_are_skipped_are_no_stall():
    statistics = Statistics()
    for skipped, stalled_snapshots in ((1, 0), (0, 1)):
        statistics.count("received")
        statistics.count("skipped", number=skipped)
        assert statistics.snapshot().stalled_snapshots == stalled_snapshots


class Lines:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def error(self, text: str) -> None:
        self.lines.append(f"error {text}")

    def warning(self, text: str) -> None:
        self.lines.append(f"warning {text}")

    def info(self, text: str) -> None:
        self.lines.append(f"info {text}")


def test_a_finding_is_logged_once_when_it_comes_and_once_when_it_is_over(monkeypatch):
    now = 100.0
    monkeypatch.setattr("fastdepth_ros.node.diagnostics.report.time.monotonic", lambda: now)
    log = Lines()
    reporter = Reporter(log)
    still = Finding("clock_still", {"seconds": 1.0})
    for found in ([still], [still], [], [still], []):
        reporter.report(found)
    assert [line.partition(" ")[0] for line in log.lines] == ["warning", "info"]
    now += LOG_PERIOD_S
    reporter.report([still])
    assert len(log.lines) == 3


def test_a_first_clock_is_waited_for_before_it_is_missed(monkeypatch):
    now = 100.0
    monkeypatch.setattr("fastdepth_ros.node.clock.time.monotonic", lambda: now)
    still = SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=0), create_jump_callback=lambda *a, **k: None)
    node = SimpleNamespace(
        get_clock=lambda: still,
        get_parameter=lambda name: SimpleNamespace(value=True),
        count_publishers=lambda topic: 0,
    )
    watch = ClockWatch(node, lambda: None)
    assert watch.check().keys() == {"clock_awaited"}
    now += FIRST_S
    assert watch.check().keys() == {"no_clock"}
