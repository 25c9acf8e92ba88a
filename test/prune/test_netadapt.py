"""NetAdapt reaches its budget step by step, gives up what costs accuracy least, and resumes to the same channels."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from small_networks import PRUNABLE, fresh
from small_pairs import write_pairs

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.pool import Work, local_pool, ray_pool
from fastdepth_ros.nn.channels import NAMED, SKIPS, UNPRUNED, layer_shapes
from fastdepth_ros.nn.checkpoints import load_checkpoint, save_checkpoint
from fastdepth_ros.nn.complexity import complexity
from fastdepth_ros.nn.network import FastDepth
from fastdepth_ros.prune.netadapt import NetAdapt, Search
from fastdepth_ros.prune.proposals import count_of, group_names, proposals, with_count
from fastdepth_ros.prune.resources import Resource, resource
from fastdepth_ros.prune.trial import TRIALS, Training, run_trial

MACS = resource("macs")


@pytest.fixture(scope="module")
def training(tmp_path_factory) -> Training:
    root = write_pairs(tmp_path_factory.mktemp("pairs"), 8)
    return Training("nyu-labeled", root, holdout=0.25, steps=1, batch=2)


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("start") / "start.safetensors"
    save_checkpoint(fresh(PRUNABLE), path)
    return path


def search(start: Path, training: Training, out: Path, budget: float = 0.7, work=TRIALS, **options) -> NetAdapt:
    wanted = Search("macs", budget * MACS.cost(PRUNABLE), **{"reduction": 0.1, "multiple": 4, **options})
    with local_pool(work, 1) as pool:
        netadapt = NetAdapt(start, wanted, training, MACS, out, pool)
        netadapt.run()
    return netadapt


@pytest.fixture(scope="module")
def finished(start, training, tmp_path_factory) -> NetAdapt:
    return search(start, training, tmp_path_factory.mktemp("searches") / "whole")


@pytest.mark.parametrize("name", NAMED)
def test_the_shapes_cost_what_the_network_counts(name):
    counted = complexity(FastDepth(NAMED[name]))["total"]
    assert resource("macs").cost(NAMED[name]) == counted.macs
    assert resource("weights").cost(NAMED[name]) == counted.weights
    assert sum(shape.kind == "conv" for shape in layer_shapes(NAMED[name])) == 20


def test_the_skips_leave_sixteen_groups():
    assert len(group_names()) == 14 + 5 - len(SKIPS)
    changed = with_count(UNPRUNED, "encoder.5", 200)
    assert changed.encoder[5] == changed.decoder[1] == count_of(changed, "encoder.5") == 200


def test_a_proposal_meets_the_target_with_as_many_filters_as_it_can():
    target = 0.97 * MACS.cost(UNPRUNED)
    found = proposals(UNPRUNED, MACS, target)
    assert "encoder.2" in found
    for group, channels in found.items():
        count = count_of(channels, group)
        assert count % 8 == 0
        assert MACS.cost(channels) <= target
        if count + 8 < count_of(UNPRUNED, group):
            assert MACS.cost(with_count(UNPRUNED, group, count + 8)) > target
        assert with_count(channels, group, count_of(UNPRUNED, group)) == UNPRUNED


def test_a_group_too_small_for_the_target_is_left_out():
    found = proposals(UNPRUNED, MACS, 0.9 * MACS.cost(UNPRUNED))
    assert "decoder.4" not in found
    assert "encoder.5" in found
    assert proposals(UNPRUNED, MACS, 1.0) == {}


def test_the_search_ends_under_its_budget_and_never_grows(finished):
    costs = [finished.start_cost, *(step.cost for step in finished.steps)]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] <= finished.search.budget < costs[-2]
    network, notes = load_checkpoint(finished.out / f"iteration-{len(finished.steps):03d}.safetensors")
    assert network.channels == finished.steps[-1].channels
    assert float(notes["delta1"]) == finished.steps[-1].delta1
    assert not list(finished.out.glob("proposals-*"))


def test_each_iteration_gives_up_what_was_asked(finished):
    cost = finished.start_cost
    for step in finished.steps:
        asked = 0.1 * finished.start_cost * 0.97 ** (step.iteration - 1)
        assert step.cost <= max(cost - asked, finished.search.budget)
        cost = step.cost


def test_the_most_accurate_proposal_wins(start, training, tmp_path):
    """Whatever else is tried, accuracy says that encoder.3 matters least."""

    def scored(trial):
        trial.out.parent.mkdir(exist_ok=True)
        save_checkpoint(FastDepth(trial.channels), trial.out)
        return {"delta1": 0.9 if trial.out.stem == "encoder.3" else 0.5, "rmse": 1.0}

    steps = search(start, training, tmp_path / "run", 0.97, Work(scored), reduction=0.01).steps
    assert steps[0].group == "encoder.3"


@pytest.mark.parametrize("killed_at", [3, 8])
def test_a_search_that_was_killed_resumes_to_the_same_bits(finished, start, training, tmp_path, killed_at):
    done = []

    def until_killed(trial):
        if len(done) == killed_at:
            raise KeyboardInterrupt
        done.append(trial)
        return run_trial(trial)

    with pytest.raises(KeyboardInterrupt):
        search(start, training, tmp_path / "run", work=Work(until_killed))
    resumed = search(start, training, tmp_path / "run")
    assert resumed.steps == finished.steps
    last = f"iteration-{len(finished.steps):03d}.safetensors"
    ours, theirs = (load_checkpoint(each.out / last)[0].state_dict() for each in (resumed, finished))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_another_search_in_the_same_folder_is_refused(finished, start, training):
    with pytest.raises(FastDepthError, match="another search"):
        search(start, training, finished.out, decay=0.9)


def test_a_table_measured_anew_is_another_search(finished, start, training):
    dearer = Resource("macs", "MACs", lambda channels: 1.01 * MACS.cost(channels))
    with local_pool(TRIALS, 1) as pool, pytest.raises(FastDepthError, match="another search"):
        NetAdapt(start, finished.search, training, dearer, finished.out, pool)


def test_after_an_error_no_proposal_that_waits_is_tried(start, training, tmp_path):
    tried = []

    def broken(trial):
        tried.append(trial)
        if len(tried) > 1:
            time.sleep(2)  # until the first was heard of and the rest canceled
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(start, training, tmp_path / "run", work=Work(broken))
    assert len(tried) <= 2


def test_a_budget_out_of_reach_is_said(start, training, tmp_path):
    with pytest.raises(FastDepthError, match="out of reach"):
        search(start, training, tmp_path / "run", 0.001, reduction=0.9)


@pytest.mark.parametrize(
    ("options", "told"),
    [({"reduction": 0}, "reduction is 0"), ({"decay": 2}, "decay is 2"), ({"multiple": 0}, "multiple")],
)
def test_a_search_that_makes_no_sense_is_refused(options, told):
    with pytest.raises(ValueError, match=told):
        Search("macs", 1.0, **options)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_two_nodes_of_a_cluster_find_the_same_channels(finished, start, training, tmp_path, two_nodes):
    with ray_pool(TRIALS, two_nodes.address) as pool:
        netadapt = NetAdapt(start, finished.search, training, MACS, tmp_path / "run", pool)
        netadapt.run()
    assert netadapt.steps == finished.steps
