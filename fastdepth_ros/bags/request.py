"""Requests, tasks and summaries of a run, as processes and machines exchange them."""

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
from fastdepth_ros.depth.estimator import DepthEstimator, DepthResult
from fastdepth_ros.depth.frame import SensorBits
from fastdepth_ros.depth.geometry import Crop
from fastdepth_ros.depth.options import EstimatorOptions, PointsOptions
from fastdepth_ros.errors import FastDepthError

DEPTH, CAMERA_INFO, POINTS = 0, 1, 2  # numbers of the first topics of every new bag; points only where asked for
Estimate = Callable[..., DepthResult]  # arguments as of `DepthEstimator.__call__`


class Recipe(Protocol):
    """Recipe of a worker's estimator, hashable and pickled; the same recipe gives the same bytes."""

    def estimator(self) -> Estimate: ...

    def facts(self) -> dict[str, Any]:
        """Settings that the depth depends on, as JSON."""

    def crop(self, height_px: int, width_px: int) -> Crop | None:
        """Part of the depth image of a frame of this size that the network saw; None: all of it."""


@dataclass(frozen=True)
class ModelRecipe:
    """Recipe of an estimator on an artifact.

    Args:
        folder: folder of the artifact.
        engine: engine and version that every worker must have, as `Backend.engine`.
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
            "precision": self.options.precision,
            "threads": self.options.threads,
            **{name: artifact.manifest[name] for name in ("input", "outputs", "focal")},
            **{name: value for name, value in asdict(self.estimating).items() if name != "temporal_filter"},
        }

    def crop(self, height_px: int, width_px: int) -> Crop | None:
        if self.estimating.output_size != "camera":
            return None
        network = find_artifact(self.folder).network
        return network.input.place(self.estimating.field_of_view, (height_px, width_px)).crop


@dataclass(frozen=True)
class Truth:
    """Recorded depth sensor against which the depth is measured.

    Args:
        topic: Image (16UC1 millimeters, 32FC1 meters) or CompressedImage (compressedDepth).
        camera_info_topic: default: `camera_info` beside the topic.
        tolerance_s: largest difference between the stamps of a frame and of its truth.

    Raises:
        FastDepthError: the tolerance is negative or not finite.
    """

    topic: str
    camera_info_topic: str = ""
    tolerance_s: float = 0.02

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance_s < inf:
            raise FastDepthError(f"a tolerance of {self.tolerance_s} s makes no sense")


@dataclass(frozen=True)
class Request:
    """Options of a run, for every bag.

    Args:
        image_topic: Image or CompressedImage.
        camera_info_topic: default: `camera_info` beside the image topic.
        copied: patterns (`*` and `?`) of further topics that the new bag gets.
        zstd: compress the chunks of the new bag (mcap only).
        depth_encoding: 32FC1 or 16UC1, each on the topic that REP 118 gives it.
        bits: bits that 16-bit samples of the images use; 0: found in a sample of the topic.
        points: settings of the point cloud that each depth image gets beside it; None: it gets none.
        undistort: take the lens distortion out of frames that are not rectified.
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
    points: PointsOptions | None = None
    undistort: bool = False


@dataclass(frozen=True)
class Topic:
    """A topic of the new bag.

    Args:
        definition, encoding: definition of the type and its language ("ros2msg" or "ros2idl"), as in MCAP.
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
    """Bag to read; its camera_info topics are "" if it has none.

    Args:
        bits: bits that 16-bit samples of the images use, as found once for all workers; 0: no such samples.
    """

    path: Path
    camera_info_topic: str
    truth_info_topic: str
    bits: int = 0


@dataclass(frozen=True)
class Task:
    """Work of one call: one window of one bag.

    Args:
        topics: topics of the new bag: depth, camera_info, points where asked for, then those that are copied.
        part: path of the result, without suffix.
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
        return self.topics[CAMERA_INFO + 1 if self.request.points is None else POINTS + 1 :]


@dataclass
class Summary:
    """Counts of a bag, or of a part of one.

    Args:
        dropped: frames that gave no depth, by reason.
        unscaled: depth images not scaled to the camera's focal length, by reason.
        without_camera_info: depth images without camera_info, by reason.
        not_undistorted: depth images of frames that keep their distortion though it was to be taken out, by reason.
        mended_camera_info: camera_infos made of a part of the frame's own, by what was wrong with that.
        points_out: point clouds.
        copied: messages of other topics.
        bits: bits that 16-bit samples use, as found before the work; 0: no such samples.
        bits_risen: number of frames that used more bits, by the change and its time.
        unmeasured: depth images without a usable truth, by reason.
        no_picture: depth images of frames of a single color.
        measured: errors of each other depth image, as `ground_truth.truth_errors`, by stamp.
    """

    frames_in: int = 0
    frames_out: int = 0
    camera_infos_out: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    points_out: int = 0
    unscaled: dict[str, int] = field(default_factory=dict)
    without_camera_info: dict[str, int] = field(default_factory=dict)
    mended_camera_info: dict[str, int] = field(default_factory=dict)
    not_undistorted: dict[str, int] = field(default_factory=dict)
    copied: int = 0
    bits: int = 0
    bits_risen: dict[str, int] = field(default_factory=dict)
    unmeasured: dict[str, int] = field(default_factory=dict)
    no_picture: int = 0
    measured: list[dict[str, Any]] = field(default_factory=list)

    def add(self, other: Summary) -> None:
        """Add the counts of a later part."""
        self.frames_in += other.frames_in
        self.frames_out += other.frames_out
        self.camera_infos_out += other.camera_infos_out
        self.points_out += other.points_out
        self.copied += other.copied
        self.no_picture += other.no_picture
        self.bits = max(self.bits, other.bits)
        for name in (
            "dropped", "unscaled", "without_camera_info", "mended_camera_info", "not_undistorted", "unmeasured",
            "bits_risen",
        ):  # fmt: skip
            mine, theirs = getattr(self, name), getattr(other, name)
            for reason, count in theirs.items():
                mine[reason] = mine.get(reason, 0) + count
        self.measured += other.measured

    def counts(self) -> dict[str, Any]:
        """All but the single measurements, as JSON."""
        return {key: value for key, value in asdict(self).items() if key != "measured"}
