"""A backend with its model loaded and the hot path around it: what a live change swaps and a hang gives up."""

from __future__ import annotations

import threading
from dataclasses import astuple, dataclass, field, fields, replace
from typing import Any

from fastdepth_ros.artifact.artifact import Artifact, find_artifact
from fastdepth_ros.backends import Backend, BackendOptions
from fastdepth_ros.backends.locked import InTurn
from fastdepth_ros.depth.estimator import DepthEstimator, EstimatorOptions
from fastdepth_ros.node.parameters import Settings


@dataclass
class Engine:
    """Loaded model, backend and estimator that turn frames into depth.

    Args:
        source: the parameters that it was loaded by; an engine of the same ones needs no loading.
        hung: set once a call of the backend hung; shared by all engines around the same backend.
    """

    source: tuple[Any, ...]
    artifact: Artifact
    backend: Backend
    estimator: DepthEstimator
    hung: threading.Event = field(default_factory=threading.Event)

    @property
    def abandoned(self) -> bool:
        """Its backend hung, and what it may still return is too old to be used."""
        return self.hung.is_set()

    @property
    def facts(self) -> dict[str, str]:
        return {"backend": self.backend.engine, "model": self.artifact.name}


def load_engine(settings: Settings) -> Engine:
    """Load the model; the golden frame is checked.

    Raises:
        FastDepthError: as the message says.
    """
    artifact = find_artifact(settings.model, settings.model_root)
    backend = InTurn(artifact.load(settings.backend, backend_options(settings)))
    return Engine(_source(settings), artifact, backend, estimator_for(settings, artifact, backend))


def changed_engine(engine: Engine, settings: Settings) -> Engine | None:
    """The engine with other parameters around the same backend; None if they need another one.

    Raises:
        FastDepthError: as the message says.
    """
    if engine.abandoned or engine.source != _source(settings):
        return None
    return replace(engine, estimator=estimator_for(settings, engine.artifact, engine.backend))


def backend_options(settings: Settings) -> BackendOptions:
    return BackendOptions(settings.threads, settings.device, settings.power_save, settings.precision, settings.channels)


def estimator_for(settings: Settings, artifact: Artifact, backend: Backend) -> DepthEstimator:
    """The hot path as the parameters want it, around a backend that is loaded."""
    options = EstimatorOptions(**{entry.name: getattr(settings, entry.name) for entry in fields(EstimatorOptions)})
    return artifact.estimator(backend, options)


def _source(settings: Settings) -> tuple[Any, ...]:
    return (settings.backend, settings.model, *astuple(backend_options(settings)))
