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


HEAVY = ("torch", "onnx", "tvm", "openvino", "onnxruntime", "rclpy", "h5py", "scipy", "matplotlib", "tensorboard")
ADD_ALL = """
import argparse, sys
from importlib import import_module
from fastdepth_ros.cli import VERBS
light = [verb for verb in VERBS if verb not in {skipped!r}]
for verb in light:
    import_module("fastdepth_ros.cli." + verb.replace("-", "_")).add_arguments(argparse.ArgumentParser())
print(len(light), *sorted(set({heavy!r}) & set(sys.modules)))
"""


def test_help_loads_no_engine_and_no_training_library():
    # these verbs need their libraries for everything but their help
    code = ADD_ALL.format(skipped=["bag", "calibrate-scale", "live", "report", "video", "view"], heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(len(VERBS) - 6)]


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
