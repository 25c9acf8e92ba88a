"""Options of a run, in a form that is sent to other processes and machines."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path
from typing import Any, Protocol

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.backends import BackendError, BackendOptions
from fastdepth_ros.bags.windows import Selection, Window
from fastdepth_ros.depth.estimator import DepthEstimator, DepthResult, EstimatorOptions
from fastdepth_ros.depth.frame import SensorBits
from fastdepth_ros.depth.geometry import Crop, field_of_view
from fastdepth_ros.errors import FastDepthError

DEPTH, CAMERA_INFO = 0, 1  # numbers of the first two topics of every new bag
Estimate = Callable[..., DepthResult]  # arguments as of `DepthEstimator.__call__`


class Recipe(Protocol):
    """Recipe for a worker's estimator; the same recipe gives the same bytes. Hashable, and pickled."""

    def estimator(self) -> Estimate: ...

    def facts(self) -> dict[str, Any]:
        """Settings that the depth depends on, as JSON."""

    def crop(self, height_px: int, width_px: int) -> Crop | None:
        """The part of the depth of such a frame that the network saw; None is all of it."""


@dataclass(frozen=True)
class ModelRecipe:
    """The hot path on an artifact: the arguments of `Artifact.load` and `DepthEstimator`.

    Args:
        folder: of the artifact.
        engine: that every worker must have, as `Backend.engine` says it.
        estimating: without the filter over time, which would need the frames before each window.

    Raises:
        FastDepthError: a filter over time.
    """

    folder: Path
    backend: str
    options: BackendOptions
    engine: str
    estimating: EstimatorOptions = EstimatorOptions()

    def __post_init__(self) -> None:
        if self.estimating.temporal_filter:
            raise FastDepthError(
                "a bag is computed in windows, which have no filter over time: set temporal_filter to 0"
            )

    def estimator(self) -> DepthEstimator:
        """Raises BackendError where the engine is another, besides what `Artifact.load` raises."""
        artifact = find_artifact(self.folder)
        backend = artifact.load(self.backend, self.options)
        if backend.engine != self.engine:
            raise BackendError(
                f"{platform.node()} runs {backend.engine}, not {self.engine}; install the same everywhere"
            )
        return artifact.estimator(backend, self.estimating)

    def facts(self) -> dict[str, Any]:
        artifact = find_artifact(self.folder)
        return {
            "model": artifact.name,
            "files": {key: entry["sha256"] for key, entry in sorted(artifact.manifest["files"].items())},
            "backend": self.backend,
            "engine": self.engine,
            "threads": self.options.threads,
            "trained_focal": asdict(artifact.trained_focal) if artifact.trained_focal else None,
            **{name: value for name, value in asdict(self.estimating).items() if name != "temporal_filter"},
        }

    def crop(self, height_px: int, width_px: int) -> Crop | None:
        onto_camera = self.estimating.output_size == "camera"
        return field_of_view(self.estimating.field_of_view, height_px, width_px) if onto_camera else None


@dataclass(frozen=True)
class Truth:
    """The depth sensor against which the depth is measured.

    Args:
        topic: Image (16UC1 millimeters, 32FC1 meters) or CompressedImage (compressedDepth).
        camera_info_topic: default: `camera_info` beside the topic.
        tolerance_s: between the stamps of a frame and of its truth.

    Raises:
        ValueError: a tolerance that is no span of time.
    """

    topic: str
    camera_info_topic: str = ""
    tolerance_s: float = 0.02

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance_s < inf:
            raise FastDepthError(f"a tolerance of {self.tolerance_s} s makes no sense")


@dataclass(frozen=True)
class Request:
    """Options that hold for every bag.

    Args:
        image_topic: Image or CompressedImage.
        camera_info_topic: default: `camera_info` beside the image topic.
        copied: patterns (`*` and `?`) of further topics that the new bag gets.
        zstd: compress the chunks of the new bag (mcap only).
        depth_encoding: 32FC1 or 16UC1, each on the topic that REP 118 gives it.
        bits: that 16-bit samples of the images use; 0 finds them in a sample of the topic.
    """

    recipe: Recipe
    image_topic: str
    camera_info_topic: str = ""
    truth: Truth | None = None
    copied: tuple[str, ...] = ()
    selection: Selection = field(default_factory=Selection)
    zstd: bool = False
    depth_encoding: str = "32FC1"
    bits: int = 0


@dataclass(frozen=True)
class Topic:
    """A topic of the new bag.

    Args:
        definition, encoding: of the type, as MCAP keeps them ("ros2msg" or "ros2idl").
        digest: the type's RIHS01 hash.
        qos: the publishers' profiles, as rosbag2 writes them.
    """

    name: str
    msgtype: str
    definition: str
    encoding: str
    digest: str
    qos: str = ""


@dataclass(frozen=True)
class Source:
    """A bag to read, and what of it: camera_info topics are "" where the bag has none.

    Args:
        bits: that 16-bit samples of the images use, as found once for all workers; 0 where none has 16 bits.
    """

    path: Path
    camera_info_topic: str
    truth_info_topic: str
    bits: int = 0


@dataclass(frozen=True)
class Task:
    """One window of one bag, the work of one call.

    Args:
        topics: of the new bag: depth, camera_info, then those that are copied.
        part: where the result goes, without suffix.
    """

    request: Request
    source: Source
    window: Window
    topics: tuple[Topic, ...]
    part: Path

    def sensor(self) -> SensorBits:
        """Bits that the 16-bit samples of this window use, the same in every worker."""
        return SensorBits(self.request.bits, self.source.bits)

    @property
    def copied(self) -> tuple[Topic, ...]:
        return self.topics[CAMERA_INFO + 1 :]
