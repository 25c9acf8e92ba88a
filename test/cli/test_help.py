"""Every help text is there, and begins with a noun or an imperative verb."""

from __future__ import annotations

import argparse
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
