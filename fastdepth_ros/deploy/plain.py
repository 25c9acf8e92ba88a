"""Plain export: a network as the compilers of accelerators take it, with frames to calibrate on and a golden pair."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from fastdepth_ros.artifact.artifact import Artifact, sha256_of
from fastdepth_ros.artifact.golden import AGREEMENT_M, golden_frame
from fastdepth_ros.artifact.manifest import manifest_text
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import atomic_folder, atomic_write
from fastdepth_ros.nn.checkpoints import load_checkpoint
from fastdepth_ros.nn.deployed import traced_onnx

OPSET = 13
MODEL, INTERFACE = "model.onnx", "interface.json"
CALIBRATION, GOLDEN_INPUT, GOLDEN_OUTPUT = "calibration.npy", "golden_input.npy", "golden_output.npy"


def export_plain(source: Artifact, out: Path, frames: Sequence[np.ndarray]) -> float:
    """Write `out`, all or nothing: model.onnx, calibration.npy, golden_input.npy, golden_output.npy, interface.json.

    Args:
        source: has model.safetensors.
        out: a folder that does not exist yet.
        frames: network inputs as the camera gives them, uint8 (height, width, 3) RGB.

    Returns:
        Largest difference between the plain network and the artifact on the golden frame and on noise, meters.

    Raises:
        FileExistsError: `out` exists.
        FastDepthError: no safetensors file, or the two differ by more than 1e-4 m.
    """
    shape = source.network.input.shape
    network, _ = load_checkpoint(source.model_file("safetensors").path)
    reference = source.load("onnxruntime" if "onnx" in source.formats() else "pytorch")
    golden, noise = golden_frame(*shape), np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    with atomic_folder(out) as building:
        example = torch.zeros(1, 3, *shape)
        model = onnx.load_from_string(traced_onnx(network, example, names=("rgb", "depth"), opset=OPSET))
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, building / MODEL)
        session = onnxruntime.InferenceSession(str(building / MODEL), providers=["CPUExecutionProvider"])
        planes = [_planes(rgb) for rgb in (golden, noise)]
        depths = [session.run(None, {"rgb": each})[0] for each in planes]
        off_m = max(
            float(np.abs(depth[0, 0] - reference.infer(rgb).depth).max()) for depth, rgb in zip(depths, (golden, noise))
        )
        if not off_m <= AGREEMENT_M:  # NaN fails too
            raise FastDepthError(
                f"the plain network differs from {source.name} by {off_m} m, {AGREEMENT_M} m is allowed"
            )
        np.save(building / GOLDEN_INPUT, planes[0])
        np.save(building / GOLDEN_OUTPUT, depths[0])
        np.save(building / CALIBRATION, np.concatenate([_planes(frame) for frame in frames]))
        atomic_write(building / INTERFACE, manifest_text(_interface(source, building)) + "\n")
    return off_m


def _planes(rgb: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) as float32 (1, 3, H, W) in [0, 1]."""
    return np.ascontiguousarray(rgb.transpose(2, 0, 1)[None], np.float32) / np.float32(255)


def _interface(source: Artifact, folder: Path) -> dict:
    return {
        "source": source.name,
        "opset": OPSET,
        "sha256": sha256_of(folder / MODEL),
        "input": {
            "name": "rgb", "dtype": "float32", "shape": [1, 3, *source.network.input.shape],
            "layout": "NCHW", "channels": "RGB", "mean": [0, 0, 0], "std": [255, 255, 255],  # of pixels 0 to 255
        },
        "output": {"name": "depth", "dtype": "float32", "shape": [1, 1, *source.depth_shape], "unit": "meter"},
        "focal": source.manifest["focal"],
        "licence": source.licence,
    }  # fmt: skip
