"""Every help text is there, and begins with a noun or an imperative verb."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module

import pytest
from help_words import help_complaint
from verbs import ALL_VERBS

from fastdepth_ros.cli import VERBS, HelpFormatter


def texts(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str | None]]:
    """Each option and its help, those of sub-verbs too."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from ((choice.dest, choice.help) for choice in action._choices_actions)
            for choice in action.choices.values():
                yield from texts(choice)
        else:
            yield "/".join(action.option_strings) or action.dest, action.help


@pytest.mark.parametrize("verb", ALL_VERBS)
def test_every_option_of_a_verb_is_explained(verb):
    parser = argparse.ArgumentParser(prog=verb)
    import_module(f"fastdepth_ros.cli.{verb.replace('-', '_')}").add_arguments(parser)
    found = {name: complaint for name, text in texts(parser) if (complaint := help_complaint(text))}
    assert not found
    assert not help_complaint(VERBS[verb]) and "%" not in parser.format_help()


def test_riddles_are_rejected():
    for text in (
        "",
        None,
        "of the engine",
        "As the node",
        "so many frames a second",
        "default: camera_info",
        "the page",
    ):
        assert help_complaint(text), text
    assert not help_complaint("number of engine threads; 0 lets the engine choose")


def test_a_default_is_shown_once_and_an_empty_one_is_not():
    parser = argparse.ArgumentParser(formatter_class=HelpFormatter)
    parser.add_argument("--zero", type=int, default=0, help="number of threads")
    parser.add_argument("--flag", action="store_true", help="print JSON")
    parser.add_argument("--text", default="", help="topic of the camera")
    parser.add_argument("--told", type=int, default=0, help="number of workers (default: one per core)")
    assert parser.format_help().count("(default: 0)") == 1
    assert parser.format_help().count("(default: ") == 2


HEAVY = (
    "cv2", "torch", "onnx", "tvm", "openvino", "onnxruntime", "ai_edge_litert",
    "rclpy", "rosbags", "h5py", "scipy", "matplotlib", "tensorboard", "rerun", "av",
)  # fmt: skip
ADD_ALL = """
import argparse, sys
from importlib import import_module
from fastdepth_ros.cli import VERBS
for verb in VERBS:
    import_module("fastdepth_ros.cli." + verb.replace("-", "_")).add_arguments(argparse.ArgumentParser())
    print(verb, *sorted(set({heavy!r}) & set(sys.modules)))
"""


def test_help_of_no_verb_loads_opencv_an_engine_ros_or_a_training_library():
    done = subprocess.run(
        [sys.executable, "-c", ADD_ALL.format(heavy=HEAVY)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == list(VERBS)


@pytest.mark.needs("torch")
def test_names_in_the_help_are_those_of_the_registries():
    from fastdepth_ros.cli import complexity, prune, train
    from fastdepth_ros.nn.network import parts
    from fastdepth_ros.nn.paper.tables import TABLES
    from fastdepth_ros.prune.measure import ENGINES
    from fastdepth_ros.prune.resources import RESOURCES

    assert {kind: sorted(names) for kind, names in train.PARTS.items()} == {k: sorted(n) for k, n in parts().items()}
    assert sorted(complexity.TABLES) == sorted(TABLES)
    assert prune.RESOURCES == RESOURCES
    assert sorted(prune.ENGINES) == sorted([*ENGINES, "tvm"])


@pytest.mark.needs("torch", "rosbags")
def test_constants_in_the_help_are_those_of_modules_it_does_not_load():
    from fastdepth_ros.bench.run import FULL
    from fastdepth_ros.cli import bench, evaluate, report
    from fastdepth_ros.train.evaluation import PROTOCOLS
    from fastdepth_ros.train.evaluation_files import WORST
    from fastdepth_ros.view.recorded import DEPTH_TOPICS

    assert DEPTH_TOPICS == report.DEPTH_TOPICS
    assert (FULL.rounds, FULL.frames) == (bench.ROUNDS, bench.FRAMES)
    assert (tuple(PROTOCOLS), WORST) == (evaluate.PROTOCOLS, evaluate.WORST)
