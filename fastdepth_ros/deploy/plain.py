"""Plain export: a network as the compilers of accelerators take it, with frames to calibrate on and a golden pair."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from fastdepth_ros.artifact.artifact import Artifact, sha256_of
from fastdepth_ros.artifact.golden import difference, golden_frame
from fastdepth_ros.artifact.record import AGREEMENT_M, manifest_text
from fastdepth_ros.deploy.unwrap import IMAGE, PlainNetwork, unwrap
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import atomic_folder, atomic_write
from fastdepth_ros.nn.checkpoints import load_checkpoint
from fastdepth_ros.nn.deployed import traced_onnx

OPSET = 13
AGREEMENT = 1e-5  # of the depth, besides AGREEMENT_M
MODEL, INTERFACE = "model.onnx", "interface.json"
CALIBRATION, GOLDEN_INPUT, GOLDEN_OUTPUT = "calibration.npy", "golden_input.npy", "golden_output.npy"


def export_plain(source: Artifact, out: Path, frames: Sequence[np.ndarray]) -> float:
    """Write `out`, all or nothing: model.onnx, calibration.npy, golden_input.npy, golden_output.npy, interface.json.

    Args:
        source: artifact with model.safetensors, or with the model.onnx of an imported network.
        out: a folder that does not exist yet.
        frames: network inputs as the camera gives them, uint8 (height, width, 3) RGB.

    Returns:
        Largest difference between the plain network and the artifact on the golden frame and on noise, meters.

    Raises:
        FileExistsError: `out` exists.
        FastDepthError: no such file, or the two differ by more than 1e-4 m and 1e-5 of the depth.
    """
    shape, plain = source.network.input.shape, plain_network(source)
    reference = source.load("onnxruntime" if "onnx" in source.formats() else "pytorch")
    golden, noise = golden_frame(*shape), np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    with atomic_folder(out) as building:
        onnx.checker.check_model(plain.model, full_check=True)
        onnx.save(plain.model, building / MODEL)
        session = onnxruntime.InferenceSession(str(building / MODEL), providers=["CPUExecutionProvider"])
        planes = [_planes(rgb, plain) for rgb in (golden, noise)]
        depths = [session.run(["depth"], {IMAGE: each})[0] for each in planes]
        off_m = 0.0
        for depth, rgb in zip(depths, (golden, noise)):
            expected = reference.infer(rgb).depth
            off = difference(depth[0, 0], expected)
            off_m = max(off_m, float(off.max()))
            if not (off <= AGREEMENT_M + AGREEMENT * np.abs(np.nan_to_num(expected, posinf=0.0, neginf=0.0))).all():
                raise FastDepthError(
                    f"the plain network differs from {source.name} by {off_m} m, {AGREEMENT_M} m is allowed"
                )
        np.save(building / GOLDEN_INPUT, planes[0])
        np.save(building / GOLDEN_OUTPUT, depths[0])
        np.save(building / CALIBRATION, np.concatenate([_planes(frame, plain) for frame in frames]))
        atomic_write(building / INTERFACE, manifest_text(_interface(source, plain, building)) + "\n")
    return off_m


def plain_network(source: Artifact) -> PlainNetwork:
    """Network of an artifact in its plain form: traced from its weights, or the imported graph without its wrapping.

    Raises:
        FastDepthError: no such file, or a graph that has no plain form.
    """
    if "safetensors" not in source.formats() and "onnx" in source.formats():
        try:
            return unwrap(onnx.load(source.model_file("onnx").path), OPSET)
        except FastDepthError as error:
            raise FastDepthError(f"{source.name} has no plain form: {error}") from error
    network, _ = load_checkpoint(source.model_file("safetensors").path)
    example = torch.zeros(1, 3, *source.network.input.shape)
    return PlainNetwork(onnx.load_from_string(traced_onnx(network, example, names=(IMAGE, "depth"), opset=OPSET)))


def _planes(rgb: np.ndarray, plain: PlainNetwork) -> np.ndarray:
    """uint8 (H, W, 3) RGB as the plain network takes it, float32 (1, 3, H, W)."""
    ordered = rgb if plain.channels == "RGB" else rgb[..., ::-1]
    values = (ordered.astype(np.float32) - np.asarray(plain.mean, np.float32)) / np.asarray(plain.std, np.float32)
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None])


def _interface(source: Artifact, plain: PlainNetwork, folder: Path) -> dict:
    return {
        "source": source.name,
        "opset": plain.opset,
        "sha256": sha256_of(folder / MODEL),
        "input": {
            "name": IMAGE, "dtype": "float32", "shape": [1, 3, *source.network.input.shape],
            "layout": "NCHW", "channels": plain.channels, "mean": list(plain.mean), "std": list(plain.std),
        },
        "output": {
            "name": "depth", "dtype": "float32", "shape": [1, 1, *source.depth_shape],
            **source.manifest["outputs"]["depth"],
        },
        "focal": source.manifest["focal"],
        "licence": source.licence,
    }  # fmt: skip
