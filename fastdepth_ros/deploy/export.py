"""Write an artifact from a network: ONNX and safetensors, proven to agree, with a manifest."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from fastdepth_ros import __version__
from fastdepth_ros.artifact.artifact import sha256_of
from fastdepth_ros.artifact.golden import golden_frame
from fastdepth_ros.artifact.manifest import NOT_STATED, VERSION, check, fastdepth_fields, network_of, schema
from fastdepth_ros.artifact.record import golden_record, require_agreement, write_manifest
from fastdepth_ros.backends import BackendOptions, ModelFile, backend_class
from fastdepth_ros.deploy.rewrite import rewrite
from fastdepth_ros.depth.geometry import TRAINED_FOCAL, TRAINED_INPUT_PX
from fastdepth_ros.depth.network import Network
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import atomic_folder
from fastdepth_ros.nn.checkpoints import save_checkpoint
from fastdepth_ros.nn.complexity import complexity
from fastdepth_ros.nn.deployed import OPSET, deployed, output_names, traced_onnx
from fastdepth_ros.nn.network import DepthNetwork


def export_artifact(network: DepthNetwork, out: Path, facts: Mapping[str, Any], *, half: bool = False) -> float:
    """Write `out`/model.onnx, model.safetensors and manifest.json, all or nothing.

    Args:
        network: network in eval mode.
        out: a folder that does not exist yet.
        facts: facts that only the caller knows: training data, licence, accuracy. They go into the manifest;
            `trained_focal_px`, fx and fy of a training camera other than NYU's at the network input, as `focal`.
        half: no ONNX, and kernels as float16: a network to be pruned or trained on, in half the space.

    Returns:
        The largest difference between the two files' depth on the golden frame and on noise, meters; between the
        network and its file if `half`.

    Raises:
        FileExistsError: `out` exists.
        FastDepthError: ONNX and PyTorch differ by more than 1e-4 m, float16 is too small, or a fact is not what the
            manifest's schema says.
    """
    with atomic_folder(out) as building:
        save_checkpoint(network, building / "model.safetensors", half=half)
        onnx_of = {} if half else {"opset": OPSET, "rewritings": write_onnx(network, building / "model.onnx")}
        manifest = {**_manifest(network, out.name, building, onnx_of, facts.get("trained_focal_px")), **facts}
        manifest.pop("trained_focal_px", None)
        check(schema(), manifest)
        seen = network_of(manifest)
        off_m, golden = (
            _rounded(network, building, seen) if half else _compare(building, seen, tuple(manifest["outputs"]))
        )
        write_manifest(building, {**manifest, "golden": golden})
    return off_m


def write_onnx(network: DepthNetwork, path: Path) -> list[str]:
    """ONNX of the deployed form: uint8 (1, 224, 224, 3) RGB to float32 (1, 1, 224, 224) meters.

    Returns:
        The names of the rewritings that made it out of the network, in order.
    """
    runnable = deployed(network)
    example = torch.zeros(1, TRAINED_INPUT_PX, TRAINED_INPUT_PX, 3, dtype=torch.uint8)
    model = onnx.load_from_string(traced_onnx(runnable, example, names=("rgb", *output_names(network))))
    onnx.helper.set_model_props(model, {"opset": str(OPSET)})
    model.producer_version, model.doc_string = torch.__version__.partition("+")[0], ""
    applied = [*runnable.rewritings, *rewrite(model)]
    onnx.save(model, path)
    return applied


def _compare(folder: Path, seen: Network, outputs: tuple[str, ...]) -> tuple[float, dict[str, Any]]:
    options, shape = BackendOptions(), seen.input.shape
    reference = backend_class("pytorch")(ModelFile(folder / "model.safetensors", shape, outputs=outputs), options)
    deployed = backend_class("onnxruntime")(ModelFile(folder / "model.onnx", shape, OPSET, outputs=outputs), options)
    off_m = require_agreement(reference, deployed, seen, "ONNX differs from PyTorch")
    return off_m, golden_record(reference, seen)


def _rounded(network: DepthNetwork, folder: Path, seen: Network) -> tuple[float, dict[str, Any]]:
    shape = seen.input.shape
    saved = backend_class("pytorch")(ModelFile(folder / "model.safetensors", shape), BackendOptions())
    rgb = golden_frame(*shape)
    off_m = float(np.abs(network.eval().infer(rgb) - saved.infer(rgb).depth).max())
    if not np.isfinite(off_m):
        raise FastDepthError("a kernel leaves the range of float16; export it whole")
    return off_m, golden_record(saved, seen)


def _manifest(
    network: DepthNetwork, name: str, folder: Path, onnx_of: Mapping[str, Any], focal: Mapping[str, Any] | None
) -> dict[str, Any]:
    counts = complexity(copy.deepcopy(network))["total"]
    files = {"safetensors": {"file": "model.safetensors", "sha256": sha256_of(folder / "model.safetensors")}}
    if onnx_of:
        files = {"onnx": {"file": "model.onnx", "sha256": sha256_of(folder / "model.onnx"), **onnx_of}, **files}
    interface = fastdepth_fields(focal or asdict(TRAINED_FOCAL))
    if network.confidence is not None:
        interface["outputs"]["confidence"] = _confidence(network.confidence.calibrated_on)
    return {
        "version": VERSION,
        "name": name,
        "licence": NOT_STATED,
        "files": files,
        **interface,
        **network.description(),
        "weights": counts.weights,
        "macs": counts.macs,
        "made_with": {"fastdepth_ros": __version__, "torch": torch.__version__, "onnx": onnx.__version__},
    }


def _confidence(calibrated_on: str) -> dict[str, Any]:
    """Manifest entry of a confidence whose calibration is folded into the network."""
    return {"calibration": {"said": [0, 1], "meant": [0, 1], "on": calibrated_on}} if calibrated_on else {}
