"""The base of every error that this package raises on purpose."""

from __future__ import annotations


class FastDepthError(ValueError):
    """Something given to us cannot be used: a file, an option, a message, an engine.

    The verbs and the node catch it at their boundary and print one line. It is a ValueError, so that argparse accepts
    it from the type of an option.

    Args:
        message: fault, with the value.
        remedy: action for the user; empty where the message says so itself.
    """

    def __init__(self, message: object = "", remedy: str = "") -> None:
        super().__init__(f"{message}; {remedy}" if remedy else str(message))
        self.remedy = remedy


class FrameError(FastDepthError):
    """A frame from which no depth can be computed; the message says why."""
