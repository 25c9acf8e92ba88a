"""Rewriting changes how an engine computes, not what."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.backends import BackendError, BackendOptions, ModelFile, backend_class
from fastdepth_ros.data.synthetic.sequence import room_sequence
from fastdepth_ros.deploy.export import OPSET, write_onnx
from fastdepth_ros.deploy.rewrite import BLOCK, channels_in_blocks, rewrite
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.depth.network import NetworkInput
from fastdepth_ros.nn.checkpoints import load_checkpoint
from fastdepth_ros.nn.deployed import DeployedVariant
from fastdepth_ros.nn.encoders import MobileNet
from fastdepth_ros.nn.network import DepthNetwork

SIZE_PX, EXACT_M = 224, 1e-5
GIVEN = NetworkInput(SIZE_PX, SIZE_PX)
ENCODER, WIDTHS = (4, 6, 5, 7, 5, 8, 6, 5, 4, 5, 6, 7, 8, 9), (7, 8, 7, 6, 4)
GRAPH = ["pixels_as_they_lie", "order_in_first_kernel", "sums_in_convolutions", "last_upsample_unblocked"]
TORCH = ["batch_norm_folded", "scaling_in_first_kernel", "head_before_last_upsample"]


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    """Noise, and what a camera sees in two synthetic rooms."""
    noise = np.random.default_rng(0).integers(0, 256, (2, SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
    rooms = [frame.rgb for seed in (1, 2) for frame in room_sequence(1, seed=seed)]
    return [*noise, *(GIVEN.pixels(Frame(rgb), GIVEN.place("trained", rgb.shape[:2])) for rgb in rooms)]


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[str]]:
    """The bundled network's plain and rewritten graphs of its depth, and what was rewritten."""
    network, _ = load_checkpoint(find_artifact().model_file("safetensors").path)
    network.confidence = None
    folder = tmp_path_factory.mktemp("bundled")
    return (
        write_plain(network, folder / "plain.onnx"),
        folder / "model.onnx",
        write_onnx(network, folder / "model.onnx"),
    )


def write_plain(network: DepthNetwork, path: Path) -> Path:
    """The network as it was trained: scaled pixels, then layer after layer."""
    example = torch.zeros(1, SIZE_PX, SIZE_PX, 3, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            DeployedVariant(network), (example,), str(path), input_names=["rgb"], output_names=["depth"],
            opset_version=OPSET, dynamo=False,
        )  # fmt: skip
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"opset": str(OPSET)})
    onnx.save(model, path)
    return path


def depth_of(path: Path, rgb: np.ndarray, channels: str = "rgb", backend: str = "onnxruntime") -> np.ndarray:
    options = BackendOptions(threads=1, channels=channels)
    return backend_class(backend)(ModelFile(path, (SIZE_PX, SIZE_PX), OPSET), options).infer(rgb).depth


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_the_rewritten_graph_computes_the_plain_ones_depth(bundled, frames, backend):
    if backend == "openvino":
        pytest.importorskip("openvino", reason="openvino is not installed")
    plain, rewritten, applied = bundled
    assert applied == [*TORCH, *GRAPH]
    for rgb in frames:
        expected = depth_of(plain, rgb)
        assert np.ptp(expected) > 0.1
        np.testing.assert_allclose(depth_of(rewritten, rgb, backend=backend), expected, rtol=0, atol=EXACT_M)


@pytest.mark.parametrize("skip", ["none", "add", "concat"])
def test_what_a_variant_lacks_is_not_rewritten(tmp_path, frames, skip):
    torch.manual_seed(0)
    network = DepthNetwork(MobileNet(ENCODER), widths=WIDTHS, skip=skip).eval()
    applied = write_onnx(network, tmp_path / "model.onnx")
    sums = ["sums_in_convolutions"] if skip == "add" else []
    assert applied == ["batch_norm_folded", "scaling_in_first_kernel", *GRAPH[:2], *sums]
    plain = write_plain(network, tmp_path / "plain.onnx")
    for rgb in frames[1:3]:
        np.testing.assert_allclose(depth_of(tmp_path / "model.onnx", rgb), depth_of(plain, rgb), rtol=0, atol=EXACT_M)


@pytest.mark.parametrize("skip", ["add", "none", "concat"])
def test_channels_of_zeros_fill_blocks_and_change_no_depth(tmp_path, frames, skip):
    torch.manual_seed(0)
    network = DepthNetwork(MobileNet(ENCODER), widths=WIDTHS, skip=skip).eval()
    write_onnx(network, tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    assert channels_in_blocks(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, tmp_path / "blocks.onnx")
    kernels = [tensor.dims for tensor in model.graph.initializer if len(tensor.dims) == 4]
    assert sum(dims[0] % BLOCK == 0 for dims in kernels) >= 20  # of 38 and more
    for rgb in frames[1:3]:
        plain, filled = (depth_of(tmp_path / name, rgb) for name in ("model.onnx", "blocks.onnx"))
        np.testing.assert_allclose(filled, plain, rtol=0, atol=1e-6)
    assert not channels_in_blocks(model)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_bgr_pixels_go_straight_in(bundled, frames, backend):
    if backend == "openvino":
        pytest.importorskip("openvino", reason="openvino is not installed")
    rgb = frames[2]
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    expected = depth_of(bundled[1], rgb, backend=backend)
    np.testing.assert_allclose(depth_of(bundled[1], bgr, "bgr", backend), expected, rtol=0, atol=EXACT_M)
    assert np.abs(depth_of(bundled[1], rgb, "bgr", backend) - expected).max() > 100 * EXACT_M


def test_a_graph_that_takes_rgb_only_says_so(bundled, frames):
    with pytest.raises(BackendError, match=r"plain\.onnx takes rgb only; export it again to have it take bgr"):
        depth_of(bundled[0], frames[0], "bgr")


def test_a_rewritten_graph_is_not_rewritten_again(bundled):
    model = onnx.load(bundled[1])
    before = model.SerializeToString()
    assert rewrite(model) == []
    assert model.SerializeToString() == before
