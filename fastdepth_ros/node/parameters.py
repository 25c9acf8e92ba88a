"""Table of the node's parameters: descriptors and defaults; test/write_pages.py makes config/*.yaml and
doc/parameters.md from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any

from fastdepth_ros.backends import backend_names
from fastdepth_ros.backends.base import CHANNELS, PRECISIONS
from fastdepth_ros.depth.geometry import FIELDS_OF_VIEW, fixed_focal_scale
from fastdepth_ros.depth.options import DEPTH_ENCODINGS, OUTPUTS, OUTSIDE
from fastdepth_ros.errors import FastDepthError

TRANSPORTS = ("raw", "compressed")
RELIABILITIES = ("auto", "reliable", "best_effort")


def _parameter(
    default: Any,
    doc: str,
    *,
    choices: tuple[str, ...] = (),
    low: Any = None,
    high: Any = None,
    check: Any = None,
    fixed: bool = False,
) -> Any:
    """Field of `Settings`.

    Args:
        doc: description, noun first.
        choices: allowed texts; none given allows any.
        low, high: range, both ends allowed.
        check: raises ValueError for a value that is not allowed; for parameters of several types.
        fixed: set at the node's start, then read-only.
    """
    metadata = {"doc": doc, "choices": choices, "low": low, "high": high, "check": check, "fixed": fixed}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """Parameters of the node. FIXED names those that cannot change while the node is configured."""

    autostart: bool = _parameter(
        True, "configure and activate the node at start; false: a lifecycle manager does it", fixed=True
    )
    backend: str = _parameter(
        "auto", "engine that runs the network; auto: the fastest of those installed, once it was measured here",
        choices=("auto", *backend_names()),
    )  # fmt: skip
    model: str = _parameter("", "artifact folder, or name of a bundled model; empty: the bundled default")
    model_root: str = _parameter(
        "", "folder that models may be loaded from, besides the bundled ones; empty: any folder", fixed=True
    )
    device: str = _parameter(
        "cpu",
        "device that the engine runs on: cpu, cuda, tensorrt (onnxruntime); cpu, gpu (openvino); "
        "cpu, cuda:0 (pytorch, tvm)",
    )
    threads: int = _parameter(
        0, "number of engine threads; 0: the engine chooses, or with backend auto the measurement", low=0, high=256
    )
    power_save: bool = _parameter(
        False, "let engine threads sleep while they wait, on half the cores if threads is 0: less power, higher latency"
    )
    precision: str = _parameter(
        "auto", "numeric precision of the model file; auto: fp32, or with backend auto any that loses no more than "
        "max_accuracy_loss; see fastdepth quantize", choices=("auto", *PRECISIONS),
    )  # fmt: skip
    max_accuracy_loss: float = _parameter(
        0.003, "largest loss of delta1 against fp32, by the model's manifest, that precision auto accepts",
        low=0.0, high=1.0,
    )  # fmt: skip
    channels: str = _parameter(
        "rgb", "channel order of the network input; frames in the other order are converted", choices=CHANNELS
    )
    image_transport: str = _parameter(
        "raw", "message type of the image; raw: Image on image; compressed: CompressedImage on image/compressed, where "
        "image is remapped first", choices=TRANSPORTS,
    )  # fmt: skip
    bits: int = _parameter(
        0, "number of low bits of 16-bit samples that the sensor uses; 0: found from the largest sample so far",
        low=0, high=16,
    )  # fmt: skip
    reliability: str = _parameter(
        "auto", "QoS reliability of the image subscription; auto: reliable if every publisher offers it, else best "
        "effort", choices=RELIABILITIES,
    )  # fmt: skip
    field_of_view: str = _parameter(
        "trained", "part of the frame that the network sees; trained: the central crop of the training images; full: "
        "the whole frame", choices=FIELDS_OF_VIEW,
    )  # fmt: skip
    lazy: bool = _parameter(
        True, "subscription of the image only while depth, its colors or another product of a frame has a subscriber"
    )
    max_rate_hz: float = _parameter(
        0.0, "highest number of frames per second to process, the others are skipped; 0: no limit", low=0.0, high=1000.0
    )
    undistort: bool = _parameter(
        False, "removal of the lens distortion that camera_info states (plumb_bob, rational_polynomial, equidistant) "
        "from frames that are not rectified",
    )  # fmt: skip
    output_size: str = _parameter(
        "network", "size of the depth image; network: 224x224 for the field of view; camera: that of the camera image",
        choices=OUTPUTS,
    )  # fmt: skip
    focal_scale: str | float = _parameter(
        "auto", "factor that depth is multiplied by; auto: focal length of the camera (from camera_info) over that of "
        "the training camera, both at the network input; off: 1; or a number, as fitted by fastdepth calibrate-scale",
        check=fixed_focal_scale,
    )  # fmt: skip
    hfov_deg: float = _parameter(
        0.0, "horizontal field of view of the camera in degrees, for frames without a usable camera_info; 0: unknown",
        low=0.0, high=170.0,
    )  # fmt: skip
    focal_px: float = _parameter(
        0.0, "focal length of the camera in pixels of its frames, in place of hfov_deg; 0: unknown",
        low=0.0, high=100000.0,
    )  # fmt: skip
    camera_info_wait_s: float = _parameter(
        3.0, "longest wait in seconds for the first camera_info before unscaled depth is published, if focal_scale is "
        "auto and camera_info has a publisher; 0: no wait", low=0.0, high=60.0,
    )  # fmt: skip
    max_depth_m: float = _parameter(
        0.0, "range limit in meters; depth beyond it becomes +inf; 0: no limit", low=0.0, high=1000.0
    )
    outside_training_view: str = _parameter(
        "keep", "depth at wider angles than the training camera saw; keep: publish it; invalid: make it NaN",
        choices=OUTSIDE,
    )  # fmt: skip
    depth_encoding: str = _parameter(
        "32FC1", "encoding of the depth image; 32FC1: meters on depth/image; 16UC1: millimeters on depth/image_raw",
        choices=tuple(DEPTH_ENCODINGS),
    )  # fmt: skip
    temporal_filter: float = _parameter(
        0.0, "weight of the previous depth where a pixel changes little, to reduce flicker; 0: off", low=0.0, high=0.95
    )
    min_confidence: float = _parameter(
        0.0, "confidence below which depth becomes NaN, the probability that it is within a factor of 1.25 of the "
        "truth; 0: off; needs a model with confidence", low=0.0, high=1.0,
    )  # fmt: skip
    points: bool = _parameter(
        False, "point cloud depth/points (PointCloud2) besides the depth image; computed while it has a subscriber"
    )
    points_stride: int = _parameter(
        2, "side of the square of depth pixels that gives one point; 2: the network's own resolution", low=1, high=16
    )
    points_max_m: float = _parameter(
        0.0, "range limit of points in meters along the optical axis; 0: no limit", low=0.0, high=1000.0
    )
    points_min_confidence: float = _parameter(
        0.0, "confidence below which a pixel gives no point; 0: off", low=0.0, high=1.0
    )
    points_max_slant_deg: float = _parameter(
        80.0, "largest angle in degrees between a surface and a plane that faces the camera; points on a steeper one "
        "fly between two surfaces and are left out; 90: off", low=1.0, high=90.0,
    )  # fmt: skip
    points_min_cluster: int = _parameter(
        20, "smallest number of neighboring points of similar depth; fewer are speckles and are left out; 0: off",
        low=0, high=10000,
    )  # fmt: skip
    points_organized: bool = _parameter(
        False, "rows and columns of the image in the point cloud, NaN where there is no point; false: a list of points"
    )
    max_age_ms: float = _parameter(
        1000.0, "warn on /diagnostics when depth is older than this; 0: never", low=0.0, high=1e6
    )
    min_rate_hz: float = _parameter(
        0.0, "warn on /diagnostics when fewer depth images per second are published; 0: never", low=0.0, high=1000.0
    )
    backend_deadline_s: float = _parameter(
        5.0, "seconds after which a call of the engine counts as hung and the engine is loaded again; 0: never",
        low=0.0, high=3600.0,
    )  # fmt: skip
    load_deadline_s: float = _parameter(
        120.0, "seconds after which loading an engine is given up; 0: never", low=0.0, high=36000.0
    )
    hardware_id: str = _parameter("", "name of the camera or robot in the field hardware_id of /diagnostics")
    color_near_m: float = _parameter(
        0.5, "distance in meters at the warm end of the colors of depth/image_color", low=0.01, high=1000.0
    )
    color_far_m: float = _parameter(
        10.0, "distance in meters at the cold end of the colors of depth/image_color", low=0.01, high=1000.0
    )


FIXED = {
    "depth_encoding": "names the topic of the depth; deactivate the node and clean it up first",
    "points": "makes the topic depth/points; deactivate the node and clean it up first",
}


def complaint(name: str, value: Any) -> str:
    """Reason why a value is not allowed, or "" if it is. rclpy checks the ranges, but knows no choices."""
    metadata = next((entry.metadata for entry in fields(Settings) if entry.name == name), None)
    if metadata and metadata["choices"] and value not in metadata["choices"]:
        return f"{name} is {value!r}, it can be {', '.join(metadata['choices'])}"
    if metadata and metadata["check"]:
        try:
            metadata["check"](value)
        except ValueError as error:
            return str(error)
    return ""


def declare(node: Any) -> None:
    """Declare every parameter on an rclpy node, with its descriptor."""
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

    for entry in fields(Settings):
        low, high = entry.metadata["low"], entry.metadata["high"]
        descriptor = ParameterDescriptor(description=entry.metadata["doc"], additionalconstraints=constraint(entry))
        descriptor.dynamic_typing = entry.metadata["check"] is not None  # `-p focal_scale:=1.2`, and a bare `off`
        descriptor.read_only = entry.metadata["fixed"]
        if isinstance(low, float):
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        elif isinstance(low, int):
            descriptor.integer_range = [IntegerRange(from_value=low, to_value=high)]
        node.declare_parameter(entry.name, entry.default, descriptor)


def unknown(node: Any) -> list[str]:
    """Names of the parameters that were given to a node and that it does not have: typing errors, or of a file that
    several nodes share. rclpy says nothing of them."""
    given = getattr(node, "_parameter_overrides", {})
    return sorted(name for name in given if not (node.has_parameter(name) or name.startswith("qos_overrides.")))


def read(node: Any, changes: Mapping[str, Any] | None = None) -> Settings:
    """Current parameters of the node, with `changes` applied.

    Raises:
        FastDepthError: a value is not among the choices, or two of them contradict each other.
    """
    now = {entry.name: node.get_parameter(entry.name).value for entry in fields(Settings)}
    settings = Settings(**{**now, **(changes or {})})
    complaints = [text for entry in fields(Settings) if (text := complaint(entry.name, getattr(settings, entry.name)))]
    if settings.color_near_m >= settings.color_far_m:
        complaints.append(f"color_near_m {settings.color_near_m} is not under color_far_m {settings.color_far_m}")
    if settings.hfov_deg and settings.focal_px:
        complaints.append(f"hfov_deg is {settings.hfov_deg} and focal_px is {settings.focal_px}, set one of them to 0")
    if 0 < settings.max_rate_hz < settings.min_rate_hz:
        complaints.append(f"max_rate_hz {settings.max_rate_hz} is under min_rate_hz {settings.min_rate_hz}")
    if complaints:
        raise FastDepthError("; ".join(complaints))
    return settings


def constraint(entry: Field[Any]) -> str:
    """Words for the allowed values of a parameter; "" for any."""
    if entry.metadata["choices"]:
        return "one of " + ", ".join(entry.metadata["choices"])
    if entry.metadata["low"] is not None:
        return f"{entry.metadata['low']} to {entry.metadata['high']}"
    if entry.metadata["fixed"]:
        return "set at start, then read-only"
    return ""
