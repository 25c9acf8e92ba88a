"""Another precision of an artifact: the same network in int8, fp16 or bf16, beside what the artifact has.

int8 is static and in QDQ form, which every engine reads: weights per output channel and of seven bits, so that pairs of
products fit 16 bits where a processor lacks VNNI; activations by their range on the frames that are given. The first
convolutions and the head stay in float32: the first depthwise kernels of an encoder from ImageNet reach 12.8, which
makes one step of the activations before them, 6 / 255, a step of 0.3 behind them.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from tqdm import tqdm

from fastdepth_ros.artifact.artifact import Artifact, file_key, find_artifact, sha256_of
from fastdepth_ros.artifact.golden import (  # fmt: skip
    difference,
    golden_input,
    golden_outputs,
    golden_sample,
    infer_pixels,
)
from fastdepth_ros.artifact.record import TOLERANCE_M, golden_record, write_manifest  # fmt: skip
from fastdepth_ros.backends import Backend, BackendOptions
from fastdepth_ros.deploy.rewrite import channels_in_blocks, leading_to
from fastdepth_ros.depth.network import Network
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import atomic_folder, require_absent

REDUCED = ("int8", "fp16", "bf16")
# What computes a precision everywhere; bf16 has no file of its own, it is a way to compute the fp32 one.
ENGINES = {"int8": "onnxruntime", "fp16": "onnxruntime", "bf16": "openvino"}


@dataclass(frozen=True)
class Agreement:
    """Difference between the depth of a precision and that of fp32, over all pixels of the frames, in meters."""

    frames: int
    mean_m: float
    p99_m: float
    engine: str


def require_new(precision: str, out: Path) -> None:
    """Check what needs no frames, before they are read or drawn.

    Raises:
        FileExistsError: `out` exists.
        FastDepthError: the precision is not one of REDUCED.
    """
    if precision not in REDUCED:
        raise FastDepthError(f"unknown precision {precision!r}, there is {', '.join(REDUCED)}")
    require_absent(out)


def quantize_artifact(
    source: Artifact, precision: str, out: Path, frames: Sequence[np.ndarray], frames_of: str,
    float_convolutions: int,
) -> Agreement:  # fmt: skip
    """Write `out`: all that `source` has, and the precision with its golden record. All or nothing.

    A file of that precision in `source` is left out: a user calibrates a bundled model on his own camera.

    Args:
        source: has model.onnx.
        precision: one of REDUCED.
        out: a folder that does not exist yet.
        frames: network inputs as the camera gives them, uint8 (size, size, 3) RGB.
        frames_of: description of the frames, for the manifest.
        float_convolutions: number of convolutions from the input on that int8 leaves in float32.

    Raises:
        FileExistsError: `out` exists.
        FastDepthError: no frames, or what comes of it gives no depth.
    """
    require_new(precision, out)
    if not len(frames):
        raise FastDepthError("no frames to calibrate on")
    key = file_key("onnx", precision)
    parent = source.model_file("onnx").path
    with atomic_folder(out) as building:
        for each in source.manifest["files"].keys() - {key}:
            shutil.copy(source.verified(each), building)
        name = parent.name if precision == "bf16" else f"model.{precision}.onnx"
        rewritings = list(source.manifest["files"]["onnx"].get("rewritings", []))
        try:
            if precision == "int8":
                camera = golden_input(source.network)[1:]
                second = camera[0] if camera else None
                rewritings += write_int8(parent, building / name, frames, float_convolutions, second)
            elif precision == "fp16":
                write_fp16(parent, building / name)
        except FastDepthError:
            raise
        except Exception as error:  # of any kind, from tools that know the usual layers only
            if "channels" in source.manifest:  # a FastDepth can be quantized
                raise
            raise FastDepthError(f"{source.name} cannot be quantized to {precision}: {error!r}") from error
        manifest = {**source.manifest, "name": out.name, "quantized_from": source.name}
        entry = {**source.manifest["files"]["onnx"], "file": name, "sha256": sha256_of(building / name)}
        if rewritings:
            entry["rewritings"] = rewritings
        manifest["files"] = {**source.manifest["files"], key: entry}
        write_manifest(building, manifest)
        facts, agreement = _prove(find_artifact(building), precision, frames)
        facts["calibration"] = {"frames": len(frames), "of": frames_of} if precision == "int8" else None
        facts = {name: value for name, value in facts.items() if value is not None}
        known = source.manifest.get("precisions", {})
        write_manifest(building, {**manifest, "precisions": {**known, precision: facts}})
    return agreement


def write_int8(
    source: Path, target: Path, frames: Sequence[np.ndarray], float_convolutions: int,
    camera: np.ndarray | None = None,
) -> list[str]:  # fmt: skip
    """Static int8 in QDQ form, its ranges those of the frames.

    Args:
        camera: second input of the graph, where it has one.

    Returns:
        The rewritings that came before it.
    """
    model = onnx.load(source)
    rewritings = [channels_in_blocks.__name__] * channels_in_blocks(model)
    with _quiet():
        quantize_static(
            model, str(target), _Frames([value.name for value in model.graph.input], frames, camera),
            quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, reduce_range=True,
            nodes_to_exclude=_in_float(model.graph, float_convolutions),
        )  # fmt: skip
    _copy_opset(source, target)
    return rewritings


def write_fp16(source: Path, target: Path) -> None:
    """Weights and sums in fp16, meters in float32."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = onnx.load(source)
    for node in [node for node in model.graph.node if node.op_type == "Constant"]:  # of a Resize it must stay float32
        tensor = model.graph.initializer.add()
        tensor.CopyFrom(node.attribute[0].t)
        tensor.name = node.output[0]
        model.graph.node.remove(node)
    with _quiet():
        onnx.save(convert_float_to_float16(model, keep_io_types=True), target)
    _copy_opset(source, target)


class _Frames(CalibrationDataReader):
    """The frames one by one, with a progress bar."""

    def __init__(self, names: Sequence[str], frames: Sequence[np.ndarray], camera: np.ndarray | None) -> None:
        self._names, self._camera = names, () if camera is None else (camera[None],)
        self._frames = iter(tqdm(frames, unit="frame", desc="calibrate"))

    def get_next(self) -> dict[str, np.ndarray] | None:
        frame = next(self._frames, None)
        return None if frame is None else dict(zip(self._names, (frame[None], *self._camera)))


def _in_float(graph: onnx.GraphProto, float_convolutions: int) -> list[str]:
    """The nodes up to so many convolutions, and those from the depth's last convolution on, the confidence's too."""
    of_depth = leading_to(graph, graph.output[0].name)
    convolutions = [index for index, node in enumerate(graph.node) if node.op_type == "Conv" and node.name in of_depth]
    if len(convolutions) < 3:
        raise FastDepthError("int8 is for convolutions, and this network has none in its middle", "take fp16 or bf16")
    if not 1 <= float_convolutions < len(convolutions) - 1:
        raise FastDepthError(
            f"{float_convolutions} convolutions in float32 of a network of {len(convolutions)}: give 1 to "
            f"{len(convolutions) - 2}"
        )
    first = convolutions[float_convolutions - 1]
    return [node.name for node in (*graph.node[: first + 1], *graph.node[convolutions[-1] :])]


def _copy_opset(source: Path, target: Path) -> None:
    """The mark by which a backend knows the file again."""
    model = onnx.load(target)
    onnx.helper.set_model_props(model, {entry.key: entry.value for entry in onnx.load(source).metadata_props})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, target)


def _prove(artifact: Artifact, precision: str, frames: Sequence[np.ndarray]) -> tuple[dict[str, Any], Agreement]:
    """The golden record of a precision, and how far its depth is from fp32's.

    Another engine rounds otherwise. It may be as far from the record as the precision itself is from fp32.
    """
    reference = artifact.load("onnxruntime", BackendOptions())
    engine = artifact.load(ENGINES[precision], BackendOptions(precision=precision))
    network = artifact.network
    golden = golden_record(engine, network)
    golden["tolerance_m"] = round(max(TOLERANCE_M, 2 * _golden_difference(engine, reference, network)), 4)
    bar = tqdm(frames, unit="frame", desc="compare")
    differences = np.stack(
        [
            difference(infer_pixels(engine, frame, network).depth, infer_pixels(reference, frame, network).depth)
            for frame in bar
        ]
    )
    if not np.isfinite(differences).all():
        raise FastDepthError(f"{precision} leaves pixels without a depth")
    agreement = Agreement(len(frames), float(differences.mean()), float(np.percentile(differences, 99)), engine.engine)
    return {
        "golden": golden,
        "agreement_with_fp32": {
            "frames": agreement.frames,
            "mean_m": round(agreement.mean_m, 4),
            "p99_m": round(agreement.p99_m, 4),
            "engine": agreement.engine,
        },
        "made_with": {"onnxruntime": onnxruntime.__version__},
    }, agreement


def _golden_difference(engine: Backend, reference: Backend, network: Network) -> float:
    off = difference(golden_outputs(engine, network).depth, golden_outputs(reference, network).depth)
    return float(golden_sample(off).max())


@contextmanager
def _quiet() -> Iterator[None]:
    """ONNX Runtime's tools advise on the root logger what was done already."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(disabled)
