"""Import of a foreign ONNX depth network: an artifact whose graph takes uint8 pictures and gives float32 depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from fastdepth_ros import __version__
from fastdepth_ros.artifact.artifact import sha256_of
from fastdepth_ros.artifact.golden import golden_input
from fastdepth_ros.artifact.manifest import check, network_of, schema
from fastdepth_ros.artifact.record import golden_record, write_manifest
from fastdepth_ros.backends import BackendOptions, ModelFile, Outputs, backend_class
from fastdepth_ros.deploy.foreign_onnx import (
    EXPORT_AGAIN,
    FLOATS,
    ImageInput,
    Tensor,
    camera_input,
    choose_outputs,
    fix_sizes,
    graph_inputs,
    image_input,
    main_opset,
    map_size,
    read_foreign,
)
from fastdepth_ros.deploy.import_options import ImportOptions
from fastdepth_ros.deploy.wrap import Wrapping, wrap
from fastdepth_ros.depth.geometry import DEPTH, INVERSE_DEPTH
from fastdepth_ros.depth.network import Network
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import atomic_folder

TOLERANCE_RELATIVE = 2e-3  # of the golden depth, between engines
PLAUSIBLE_M = (0.01, 1000.0)


@dataclass(frozen=True)
class Plan:
    """A foreign network, understood: `write` makes an artifact of it.

    Args:
        model: the graph with an artifact's interface.
        fields: the manifest but for files and golden frame.
        sheet: facts as understood: name, value, and who said it ("file", "option", "default").
        masked: the network says which pixels are valid.
    """

    path: Path
    model: onnx.ModelProto
    opset: int
    fields: dict[str, Any]
    sheet: list[tuple[str, str, str]] = field(default_factory=list)
    masked: bool = False

    @property
    def network(self) -> Network:
        return network_of(self.fields)


def plan_import(path: Path, options: ImportOptions) -> Plan:
    """Understand a file.

    Raises:
        FastDepthError: what it lacks or contradicts, and what to do.
    """
    model = read_foreign(path)
    opset = main_opset(model)
    inputs = graph_inputs(model)
    image = image_input(path, inputs, options.layout, options.size)
    camera = camera_input(path, inputs, image.tensor)
    mean, std = _normalization(path, image, options)
    fix_sizes(model, image)
    maps = _outputs(path, model, image, camera)
    said = (options.confidence_output, options.sky_output, options.valid_output)
    depth, others = choose_outputs(path, maps, options.depth_output, tuple(filter(None, said)))
    confidences = [name for name in others if "conf" in name.lower() and name not in said]
    confidence = options.confidence_output or (confidences[0] if len(confidences) == 1 else "")
    how = Wrapping(
        depth, mean, std, options.bgr, options.kind == INVERSE_DEPTH, confidence, options.sky_output,
        options.valid_output,
    )  # fmt: skip
    sizes = {name: size for name, output in maps.items() if (size := map_size(output.shape))}
    for name in filter(None, (confidence, options.sky_output, options.valid_output)):
        if name not in sizes:
            raise FastDepthError(f"{path}: output {name!r} is no map, its shape is {maps[name].shape}")
    wrapped = wrap(model, image, camera, how, sizes, opset)
    try:
        onnx.checker.check_model(wrapped)
    except onnx.checker.ValidationError as error:
        raise FastDepthError(f"{path} is no valid graph: {error}", EXPORT_AGAIN) from error
    fields = _fields(path, image, camera, how, sizes[depth], options)
    check(schema(), fields | {"files": {}})
    return Plan(path, wrapped, opset, fields, _sheet(image, camera, how, fields, options), bool(how.valid))


def write(plan: Plan, out: Path, frames: Sequence[np.ndarray] = ()) -> list[str]:
    """Write the artifact, all or nothing: model.onnx and manifest.json, its golden frame computed.

    Args:
        out: a folder that does not exist yet.
        frames: network inputs of real pictures, uint8 (height, width, 3) RGB, on which the meters are judged.

    Returns:
        Warnings: numbers that contradict what was said.

    Raises:
        FileExistsError: `out` exists.
        FastDepthError: ONNX Runtime cannot run it, or its depth of the golden frame is constant or not finite.
    """
    network = plan.network
    with atomic_folder(out) as building:
        onnx.save(plan.model, building / "model.onnx")
        entry = {"file": "model.onnx", "sha256": sha256_of(building / "model.onnx"), "opset": plan.opset}
        shape, names = network.input.shape, tuple(plan.fields["outputs"])
        file = ModelFile(building / "model.onnx", shape, plan.opset, entry, names, network.takes_camera)
        engine = backend_class("onnxruntime")(file, BackendOptions())
        golden = golden_input(network)
        depth = network.meters(engine.infer(*golden).depth, 1.0)
        _require_depth(plan, engine.infer(*golden), depth)
        record = golden_record(engine, network) | {"tolerance_relative": TOLERANCE_RELATIVE}
        seen = [network.meters(engine.infer(rgb, *golden[1:]).depth, 1.0) for rgb in frames]
        fields = {**plan.fields, "name": out.name, "files": {"onnx": entry}, "golden": record}
        weights = sum(int(np.prod(tensor.dims)) for tensor in plan.model.graph.initializer)
        made_with = {"fastdepth_ros": __version__, "onnx": onnx.__version__}
        write_manifest(building, {**fields, "weights": weights, "made_with": made_with})
    return [_doubt(seen)] if seen and network.metric and _doubt(seen) else []


def _normalization(
    path: Path, image: ImageInput, options: ImportOptions
) -> tuple[Sequence[float] | None, Sequence[float] | None]:
    if image.tensor.kind not in FLOATS:
        if options.mean is not None:
            raise FastDepthError(f"{path} takes bytes ({image.tensor}): it normalizes by itself", "leave that out")
        return None, None
    if options.mean is None or options.std is None:
        raise FastDepthError(
            f"{path} does not say how its input is normalized", "say it by --normalize imagenet, or --mean and --std"
        )
    if not all(std > 0 for std in options.std):
        raise FastDepthError(f"a standard deviation of {min(options.std)} cannot be divided by")
    return options.mean, options.std


def _outputs(path: Path, model: onnx.ModelProto, image: ImageInput, camera: Tensor | None) -> dict[str, np.ndarray]:
    """All outputs of the plain graph for a gray picture."""
    import onnxruntime

    from fastdepth_ros.backends.onnxruntime import session_options

    shape = (1, 3, *image.size) if image.layout == "nchw" else (1, *image.size, 3)
    dtypes: dict[int, Any] = {onnx.TensorProto.UINT8: np.uint8, onnx.TensorProto.FLOAT16: np.float16}
    feed: dict[str, np.ndarray] = {image.tensor.name: np.zeros(shape, dtypes.get(image.tensor.kind, np.float32))}
    if camera is not None:
        k = np.array([[image.size[1], 0, image.size[1] / 2], [0, image.size[1], image.size[0] / 2], [0, 0, 1]])
        feed[camera.name] = k.reshape(camera.shape).astype(dtypes.get(camera.kind, np.float32))
    providers = ["CPUExecutionProvider"]
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), session_options(0), providers)
        return dict(zip((output.name for output in session.get_outputs()), session.run(None, feed)))
    except Exception as error:  # its error classes share no base but Exception
        raise FastDepthError(
            f"onnxruntime cannot run {path} at {image.size[0]}x{image.size[1]}: {error}",
            "check --size (many networks take multiples of 14 or 32 only), or export the network again",
        ) from error


def _fields(
    path: Path, image: ImageInput, camera: Tensor | None, how: Wrapping, size: tuple[int, int], options: ImportOptions
) -> dict[str, Any]:
    fields = options.fields(path, image.size, size, str(camera or ""))
    if how.sky:
        fields["outputs"]["depth"]["sky"] = True
    if how.confidence:
        fields["outputs"]["confidence"] = {}
    network_of(fields)
    return fields


def _sheet(
    image: ImageInput, camera: Tensor | None, how: Wrapping, fields: dict[str, Any], options: ImportOptions
) -> list[tuple[str, str, str]]:
    default = ImportOptions("")

    def by(name: str, otherwise: str = "default") -> str:
        return "option" if getattr(options, name) != getattr(default, name) else otherwise

    focal = ", ".join(str(value) for value in fields["focal"].values())
    given = fields["input"]
    normalization = "by the network" if how.mean is None else f"(pixel - {list(how.mean)}) / {list(how.std or ())}"
    return [
        ("input", f"{image.tensor}, {image.layout}, {image.size[0]}x{image.size[1]}", by("size", by("layout", "file"))),
        ("channels", "bgr" if how.bgr else "rgb", by("bgr")),
        ("normalization", normalization, by("mean", "file")),
        ("camera matrix", str(camera or "not taken"), "file"),
        ("depth", f"{how.depth}, {options.kind}{'' if options.metric else ', relative'}", by("depth_output", "file")),
        (
            "confidence",
            f"{how.confidence}, uncalibrated" if how.confidence else "none",
            by("confidence_output", "file"),
        ),
        ("sky", how.sky or "none", by("sky_output")),
        ("valid", how.valid or "everywhere", by("valid_output")),
        ("focal rule", focal, by("focal", "file" if camera is not None else "default")),
        ("view", f"{given['view']}, {given['fit']}, {given['interpolation']}", by("fit", by("view"))),
        ("license", options.licence, "option"),
    ]


def _require_depth(plan: Plan, outputs: Outputs, depth: np.ndarray) -> None:
    """Refuse a depth of the golden frame that is constant or not finite; masked pixels may be so."""
    masked = plan.fields["outputs"]["depth"]
    raw, known = outputs.depth, np.isfinite(depth)
    if not known.any():
        raise FastDepthError(
            f"{plan.path} gives no finite depth above 0 on the golden frame (its output is {raw.flat[0]} to "
            f"{np.nanmax(raw) if np.isfinite(raw).any() else raw.flat[-1]})",
            "check normalization, kind and output",
        )
    if np.ptp(depth[known]) <= 1e-6 * np.abs(depth[known]).max():
        raise FastDepthError(
            f"{plan.path} gives the same depth everywhere on the golden frame, {depth[known][0]:g}",
            "check normalization, and that the weights were exported",
        )
    if np.isnan(raw).any() and not plan.masked:
        raise FastDepthError(f"{plan.path} gives NaN on the golden frame", "export it in float32")
    if np.isposinf(raw).any() and masked["kind"] == DEPTH and not masked.get("sky"):
        raise FastDepthError(f"{plan.path} overflows on the golden frame", "export it in float32")


def _doubt(depths: list[np.ndarray]) -> str:
    """Reason why these are no meters of a real scene; "" if they may be."""
    known = np.concatenate([depth[np.isfinite(depth)] for depth in depths])
    if not known.size:
        return "no pixel of the pictures has a depth"
    low, high = float(known.min()), float(known.max())
    if high < PLAUSIBLE_M[0] or low > PLAUSIBLE_M[1]:
        return (
            f"depth of the pictures is {low:.3g} to {high:.3g} m, which no scene is: check kind, scale and focal rule"
        )
    return ""
