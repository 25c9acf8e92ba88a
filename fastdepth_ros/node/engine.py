"""Engine of a configured node: loaded model, its backend behind a lock, and the estimator around it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from fastdepth_ros.artifact.artifact import Artifact, find_artifact
from fastdepth_ros.backends import Backend, BackendError, BackendOptions, Outputs
from fastdepth_ros.choice.choice import Choice, Wanted, decide, load_chosen
from fastdepth_ros.depth.estimator import DepthEstimator
from fastdepth_ros.depth.network import require_metric
from fastdepth_ros.depth.options import EstimatorOptions
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.node.parameters import Settings

LOCK_WAIT_S = 5.0
MEANWHILE_S = 0.005
INTERRUPT_GRACE_S = 3.0
LOADING_ERRORS = (FastDepthError, OSError)
Result = TypeVar("Result")


class LockedBackend:
    """A loaded backend that several threads may use: one calls it at a time; infers as `Backend.infer` does.

    Args:
        wait_s: longest wait for the call of another thread.
    """

    def __init__(self, backend: Backend, wait_s: float = LOCK_WAIT_S) -> None:
        self.model_format, self.module, self.install = backend.model_format, backend.module, backend.install
        self.engine, self.computes, self.channels = backend.engine, backend.computes, backend.channels
        self._backend, self._wait_s = backend, wait_s
        self._lock = threading.Lock()

    def infer(self, pixels: np.ndarray, camera: np.ndarray | None = None) -> Outputs:
        """Raises BackendError while another thread's call takes too long, besides what the backend raises."""
        if not self._lock.acquire(timeout=self._wait_s):
            raise BackendError(f"{self.engine} has been busy with another frame for {self._wait_s:g} s")
        try:
            return self._backend.infer(pixels) if camera is None else self._backend.infer(pixels, camera)
        finally:
            self._lock.release()


@dataclass
class Engine:
    """Loaded model, backend and estimator that turn frames into depth.

    Args:
        source: parameters that it was loaded with; for the same ones it is not loaded again.
        hung: set once a call of the backend hung; shared by all engines around the same backend.
    """

    source: tuple[Any, ...]
    choice: Choice
    artifact: Artifact
    backend: Backend
    estimator: DepthEstimator
    hung: threading.Event = field(default_factory=threading.Event)

    @property
    def abandoned(self) -> bool:
        """Whether its backend hung: depth that it still returns is too old."""
        return self.hung.is_set()

    @property
    def facts(self) -> dict[str, str]:
        return {
            "backend": self.backend.engine,
            "model": self.artifact.name,
            "engine choice": f"{self.choice}; {self.choice.why}",
            "license": self.artifact.licence,
            "confidence": self.artifact.confidence_state,
        }


def load_engine(settings: Settings) -> Engine:
    """Load the model; the golden frame is checked.

    Raises:
        FastDepthError: as the message says.
    """
    artifact = find_artifact(settings.model, settings.model_root)
    choice, loaded = load_chosen(artifact, wanted_engine(settings))
    backend = LockedBackend(loaded)
    return Engine(_source(settings), choice, artifact, backend, estimator_for(settings, artifact, backend))


def chosen_anew(engine: Engine, settings: Settings) -> Engine:
    """The engine of the choice that holds now; the same backend where that has not changed.

    Raises:
        FastDepthError: as the message says.
    """
    (choice, *_), _ = decide(engine.artifact, wanted_engine(settings))
    if replace(choice, why="") == replace(engine.choice, why="") and not engine.abandoned:
        return replace(engine, choice=choice)
    return load_engine(settings)


def changed_engine(engine: Engine, settings: Settings) -> Engine | None:
    """Engine with other settings around the same backend; None if they need another backend.

    Raises:
        FastDepthError: as the message says.
    """
    if engine.abandoned or engine.source != _source(settings):
        return None
    return replace(engine, estimator=estimator_for(settings, engine.artifact, engine.backend))


def wanted_engine(settings: Settings) -> Wanted:
    """Limits of the choice of an engine, as the parameters give them."""
    options = BackendOptions(settings.threads, settings.device, settings.power_save, channels=settings.channels)
    return Wanted(settings.backend, options, settings.precision, settings.max_accuracy_loss)


def estimator_for(settings: Settings, artifact: Artifact, backend: Backend) -> DepthEstimator:
    """Estimator with the settings of the parameters, around a loaded backend.

    Raises:
        FastDepthError: a setting that this model cannot keep.
    """
    if settings.points:
        require_metric(artifact.network)
    options = EstimatorOptions(
        settings.field_of_view,
        settings.output_size,
        settings.focal_scale,
        settings.max_depth_m,
        settings.outside_training_view,
        settings.temporal_filter,
        settings.min_confidence,
    )
    return artifact.estimator(backend, options)


def _source(settings: Settings) -> tuple[Any, ...]:
    return (settings.model, *astuple(wanted_engine(settings)))


def run_with_deadline(
    work: Callable[[], Result], deadline_s: float, meanwhile: Callable[[], None] = lambda: None
) -> Result:
    """Run work that loads or calls an engine on a thread of its own, within a deadline.

    Args:
        deadline_s: 0 is no limit.
        meanwhile: function called every 5 ms until the work is done.

    Raises:
        BackendError: not done in time, and the thread is left behind; or `work` raised what is none of
            LOADING_ERRORS, as a broken installation does (ImportError): its type and text.
        FastDepthError, OSError: as `work` raised it.
    """
    outcome: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as error:  # SystemExit of an engine's own set-up too
            errors.append(error)

    thread = threading.Thread(target=run, name="fastdepth-load", daemon=True)
    thread.start()
    ends_at = time.monotonic() + (deadline_s or float("inf"))
    try:
        while thread.is_alive() and time.monotonic() < ends_at:
            thread.join(MEANWHILE_S)
            meanwhile()
    except KeyboardInterrupt:  # an engine whose thread outlives the interpreter crashes it
        thread.join(INTERRUPT_GRACE_S)
        raise
    if errors:
        if isinstance(errors[0], LOADING_ERRORS):
            raise errors[0]
        raise BackendError(f"{type(errors[0]).__name__}: {errors[0]}") from errors[0]
    if not outcome:
        raise BackendError(
            f"the backend was not loaded within {deadline_s:g} s; raise load_deadline_s if it needs more"
        )
    return outcome[0]
