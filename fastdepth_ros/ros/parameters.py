"""The one table of the node's parameters: descriptors, defaults, config/*.yaml and the README come from it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from fastdepth_ros.backends import backend_names
from fastdepth_ros.backends.base import CHANNELS, PRECISIONS
from fastdepth_ros.depth.depth_image import DEPTH_TOPICS
from fastdepth_ros.depth.estimator import OUTPUTS, OUTSIDE
from fastdepth_ros.depth.focal import fixed_focal_scale
from fastdepth_ros.depth.geometry import FIELDS_OF_VIEW

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
    """A field; `check`, of one that takes several types, raises ValueError for what is not allowed; one that is
    `fixed` is given at the node's start."""
    metadata = {"doc": doc, "choices": choices, "low": low, "high": high, "check": check, "fixed": fixed}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """The parameters. A change while the node is configured makes new ones; FIXED names those that cannot change."""

    autostart: bool = _parameter(
        True, "configure and activate at start; false leaves that to a lifecycle manager", fixed=True
    )
    backend: str = _parameter("onnxruntime", "engine that runs the network", choices=tuple(backend_names()))
    model: str = _parameter("", "artefact folder, or the name of a bundled model; empty is the bundled default")
    model_root: str = _parameter(
        "", "folder outside which no model is loaded but the bundled ones; empty is anywhere", fixed=True
    )
    device: str = _parameter(
        "cpu",
        "device of the backend: cpu, cuda, tensorrt (onnxruntime); cpu, gpu (openvino); cpu, cuda:0 (pytorch, tvm)",
    )
    threads: int = _parameter(0, "threads of the backend; 0 leaves the number to it", low=0, high=256)
    power_save: bool = _parameter(
        False, "threads of the backend sleep while they wait, and 0 threads are half the cores; costs milliseconds"
    )
    precision: str = _parameter("fp32", "of the artefact's file; fastdepth quantize makes others", choices=PRECISIONS)
    channels: str = _parameter(
        "rgb", "order in which the network takes the pixels; frames of the other order are turned", choices=CHANNELS
    )
    image_transport: str = _parameter(
        "raw", "raw subscribes image; compressed subscribes the remapped name of image + /compressed",
        choices=TRANSPORTS,
    )  # fmt: skip
    bits: int = _parameter(
        0, "low bits of 16-bit samples that the sensor uses; 0 finds them: as many as the largest sample so far needs",
        low=0, high=16,
    )  # fmt: skip
    reliability: str = _parameter(
        "auto", "of the image subscription; auto is reliable where every publisher offers it, else best effort",
        choices=RELIABILITIES,
    )  # fmt: skip
    field_of_view: str = _parameter(
        "trained", "part of the frame that the network sees: the central crop of its training, or the full frame",
        choices=FIELDS_OF_VIEW,
    )  # fmt: skip
    output_size: str = _parameter(
        "network", "grid of depth/image: the network's 224x224 of the field of view, or the camera's", choices=OUTPUTS
    )
    focal_scale: str | float = _parameter(
        "auto", "factor on the network's depth: auto is the camera's focal length (camera_info) over the training "
        "camera's, at the network input; off is 1; or a number, as fastdepth calibrate-scale fits it",
        check=fixed_focal_scale,
    )  # fmt: skip
    camera_info_wait_s: float = _parameter(
        3.0, "for which depth is held back until the first camera_info is heard, where focal_scale is auto and "
        "camera_info has a publisher; 0 holds nothing back", low=0.0, high=60.0,
    )  # fmt: skip
    max_depth_m: float = _parameter(0.0, "metres beyond which depth is +inf; 0 is no limit", low=0.0, high=1000.0)
    outside_training_view: str = _parameter(
        "keep", "depth at wider angles than the training camera saw: keep it, or make it invalid", choices=OUTSIDE
    )
    depth_encoding: str = _parameter(
        "32FC1", "of the depth: 32FC1 metres on depth/image, or 16UC1 millimetres on depth/image_raw",
        choices=tuple(DEPTH_TOPICS),
    )  # fmt: skip
    temporal_filter: float = _parameter(
        0.0, "weight of the past where a pixel changes little, against flicker; 0 is off", low=0.0, high=0.95
    )
    max_age_ms: float = _parameter(
        1000.0, "age of depth that is told as too old on /diagnostics; 0 is any", low=0.0, high=1e6
    )
    min_rate_hz: float = _parameter(
        0.0, "depth images a second under which /diagnostics tells it; 0 is any", low=0.0, high=1000.0
    )
    backend_deadline_s: float = _parameter(
        5.0, "after which a call of the backend is abandoned as hung; 0 waits for ever", low=0.0, high=3600.0
    )
    load_deadline_s: float = _parameter(
        120.0, "after which the loading of a backend is given up; 0 waits for ever", low=0.0, high=36000.0
    )
    color_near_m: float = _parameter(0.5, "metres at the warm end of depth/image_color", low=0.01, high=1000.0)
    color_far_m: float = _parameter(10.0, "metres at the cold end of depth/image_color", low=0.01, high=1000.0)


FIXED = {
    "depth_encoding": "names the topic of the depth; deactivate the node and clean it up first",
}
TX2 = "doc/jetson_tx2.md says how its model is made; what is not named here keeps its default."
FILES: dict[str, tuple[str, Mapping[str, Any]]] = {
    "fastdepth.yaml": ("Parameters of the fastdepth node with their defaults.", asdict(Settings())),
    "tx2_cpu.yaml": (
        f"Jetson TX2, four A57 cores. {TX2}",
        {"backend": "tvm", "model": "~/fastdepth/tx2-cpu", "device": "cpu", "threads": 4},
    ),
    "tx2_gpu.yaml": (
        f"Jetson TX2, GPU. {TX2}",
        {"backend": "tvm", "model": "~/fastdepth/tx2-gpu", "device": "cuda"},
    ),
}


def complaint(name: str, value: Any) -> str:
    """Why a value is not allowed, or "" if it is. Ranges are rclpy's to check; choices it does not know."""
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
        descriptor = ParameterDescriptor(description=entry.metadata["doc"], additional_constraints=_constraint(entry))
        descriptor.dynamic_typing = entry.metadata["check"] is not None  # `-p focal_scale:=1.2`, and a bare `off`
        descriptor.read_only = entry.metadata["fixed"]
        if isinstance(low, float):
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        elif isinstance(low, int):
            descriptor.integer_range = [IntegerRange(from_value=low, to_value=high)]
        node.declare_parameter(entry.name, entry.default, descriptor)


def read(node: Any, changes: Mapping[str, Any] | None = None) -> Settings:
    """The node's parameters as they are now, or as `changes` of them would make them.

    Raises:
        ValueError: a choice that is not one, or colour ends that are not in order.
    """
    now = {entry.name: node.get_parameter(entry.name).value for entry in fields(Settings)}
    settings = Settings(**{**now, **(changes or {})})
    complaints = [text for entry in fields(Settings) if (text := complaint(entry.name, getattr(settings, entry.name)))]
    if settings.color_near_m >= settings.color_far_m:
        complaints.append(f"color_near_m {settings.color_near_m} is not under color_far_m {settings.color_far_m}")
    if complaints:
        raise ValueError("; ".join(complaints))
    return settings


def as_yaml(title: str, values: Mapping[str, Any]) -> str:
    """A parameter file: each parameter of `values` with its meaning."""
    lines = [f"# {title}", "/**:", "  ros__parameters:"]
    for entry in (entry for entry in fields(Settings) if entry.name in values):
        comment = "; ".join(filter(None, (entry.metadata["doc"], _constraint(entry))))
        lines += textwrap.wrap(
            comment, 110, initial_indent="    # ", subsequent_indent="    # ", break_on_hyphens=False
        )
        lines.append(f"    {entry.name}: {_yaml(values[entry.name])}")
    return "\n".join(lines) + "\n"


def as_markdown() -> str:
    """The table of parameters in the README."""
    rows = ["| parameter | default | meaning |", "|---|---|---|"]
    for entry in fields(Settings):
        meaning = "; ".join(filter(None, (entry.metadata["doc"], _constraint(entry))))
        rows.append(f"| `{entry.name}` | `{_yaml(entry.default)}` | {meaning} |")
    return "\n".join(rows) + "\n"


def _constraint(entry: Field[Any]) -> str:
    if entry.metadata["choices"]:
        return "one of " + ", ".join(entry.metadata["choices"])
    if entry.metadata["low"] is not None:
        return f"{entry.metadata['low']} to {entry.metadata['high']}"
    if entry.metadata["fixed"]:
        return "given at start, then read-only"
    return ""


def _yaml(value: Any) -> str:
    return {bool: str(value).lower(), str: f'"{value}"'}.get(type(value), str(value))


if __name__ == "__main__":  # after a change of the table
    for name, (title, values) in FILES.items():
        Path("config", name).write_text(as_yaml(title, values))
    print(as_markdown())
