"""Choice of engine, precision and threads: what the user named, what was measured here, or a shipped order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fastdepth_ros.backends import Backend, BackendOptions, backend_class, backend_names
from fastdepth_ros.backends.base import PRECISIONS, BackendError
from fastdepth_ros.errors import FastDepthError

if TYPE_CHECKING:
    from fastdepth_ros.artifact.artifact import Artifact

AUTO = "auto"
MAX_ACCURACY_LOSS = 0.003
ORDER = (  # before anything was measured here: the fastest on most machines first
    ("openvino", "int8"),
    ("tvm", "fp32"),
    ("onnxruntime", "fp32"),
    ("openvino", "fp32"),
    ("litert", "int8"),
    ("litert", "fp32"),
)
ONLY_NAMED = ("pytorch",)  # the reference: slow, and its import takes seconds


@dataclass(frozen=True)
class Wanted:
    """Limits of a choice.

    Args:
        backend: name, or "auto".
        options: options of the backend; `threads` 0 leaves their number open.
        precision: one of PRECISIONS, or "auto": for a named backend fp32, or what there is where it has no such file.
        max_accuracy_loss: largest loss of delta1 against fp32 that "auto" accepts of a precision.

    Raises:
        FastDepthError: an unknown precision.
    """

    backend: str = AUTO
    options: BackendOptions = BackendOptions()
    precision: str = AUTO
    max_accuracy_loss: float = MAX_ACCURACY_LOSS

    def __post_init__(self) -> None:
        if self.precision not in (AUTO, *PRECISIONS):
            raise FastDepthError(f"precision is {self.precision!r}, it can be {', '.join((AUTO, *PRECISIONS))}")


@dataclass(frozen=True)
class Choice:
    """One engine with its settings.

    Args:
        why: "named", "shipped order", or the measurement.
    """

    backend: str
    precision: str
    threads: int = 0
    why: str = "named"

    def options(self, wanted: Wanted) -> BackendOptions:
        return replace(wanted.options, precision=self.precision, threads=self.threads)

    def __str__(self) -> str:
        """Engine, precision and threads.

        >>> str(Choice("openvino", "int8", 1))
        'openvino int8, 1 thread'
        """
        threads = {0: "all threads", 1: "1 thread"}.get(self.threads, f"{self.threads} threads")
        return f"{self.backend} {self.precision}, {threads}"


def accuracy_loss(artifact: Artifact, precision: str) -> float | None:
    """Largest loss of delta1 against fp32 that the manifest records; None if it records none."""
    if precision == "fp32" or not artifact.formats():  # without fp32 there is nothing to lose against
        return 0.0
    full, reduced = (
        {
            key: figures["delta1"]
            for key, figures in artifact.facts(one).get("accuracy", {}).items()
            if "delta1" in figures
        }
        for one in ("fp32", precision)
    )
    return max((full[key] - reduced[key] for key in full.keys() & reduced.keys()), default=None)


def candidates(artifact: Artifact, wanted: Wanted) -> list[Choice]:
    """Installed engines x precisions of the artifact that `wanted` allows, the shipped order first.

    Raises:
        FastDepthError: a named backend is not there.
    """
    if wanted.backend != AUTO:
        model_format = backend_class(wanted.backend).model_format  # says what is missing
        has = (precision for precision in PRECISIONS if model_format in artifact.formats(precision))
        named = next(has, "fp32") if wanted.precision == AUTO else wanted.precision
        return [Choice(wanted.backend, named, wanted.options.threads)]
    found = []
    for precision in PRECISIONS if wanted.precision == AUTO else (wanted.precision,):
        loss = accuracy_loss(artifact, precision)
        if wanted.precision == AUTO and (loss is None or loss > wanted.max_accuracy_loss):
            continue
        for name in backend_names(artifact.formats(precision)):
            if name not in ONLY_NAMED and is_installed(name):
                found.append(Choice(name, precision, wanted.options.threads, "shipped order"))
    rank = {pair: place for place, pair in enumerate(ORDER)}
    return sorted(found, key=lambda choice: rank.get((choice.backend, choice.precision), len(rank)))


def decide(artifact: Artifact, wanted: Wanted) -> tuple[list[Choice], str]:
    """Choices in the order in which to try them: the kept one first.

    Returns:
        The choices, and why a kept one was not believed ("" if it was, or if there is none).

    Raises:
        FastDepthError: a named backend is not there, or nothing that may be chosen is.
    """
    found = candidates(artifact, wanted)
    if not found:
        raise FastDepthError(
            f"no installed engine runs {artifact.name}; it has {', '.join(sorted(artifact.manifest['files']))}",
            "name a backend",
        )
    if wanted.backend != AUTO:
        return found, ""
    from fastdepth_ros.choice.kept import is_open, kept_choice

    if not is_open(found, wanted):
        return found, ""
    kept, doubt = kept_choice(artifact, wanted)
    return ([kept] if kept else []) + found, doubt


def load_chosen(artifact: Artifact, wanted: Wanted) -> tuple[Choice, Backend]:
    """Load the first choice that loads and passes the golden check.

    Raises:
        FastDepthError: none does; the reason of each.
    """
    choices, doubt = decide(artifact, wanted)
    reasons = [doubt] if doubt else []
    for choice in choices:
        try:
            backend = artifact.load(choice.backend, choice.options(wanted))
        except (FastDepthError, ImportError, OSError) as error:
            if len(choices) == 1:
                raise
            reasons.append(f"{choice.backend} {choice.precision}: {error}")
            continue
        return replace(choice, why="; ".join((choice.why, *reasons))), backend
    raise BackendError("no engine could be loaded: " + "; ".join(reasons))


def is_installed(name: str) -> bool:
    try:
        backend_class(name)
    except BackendError:
        return False
    return True
