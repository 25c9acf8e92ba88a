"""import_tflite reads FastDepth, and says what is wrong with anything else."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tflite
import torch
from tflite_files import Graph, Part, serialize

from fastdepth_ros.nn.channels import ENCODER_STRIDES, PRUNED, SKIPS, Channels
from fastdepth_ros.nn.checkpoints import CheckpointError
from fastdepth_ros.nn.importers.tflite import LARGEST_FILE_BYTES, import_tflite
from fastdepth_ros.nn.network import FastDepth

SMALL = Channels(encoder=(2, 3, 4, 5, 4, 6, 5, 4, 3, 2, 3, 4, 5, 6), decoder=(4, 6, 5, 3, 2))


def constant(graph: Graph, values: np.ndarray, axis: int, integer: np.dtype | None) -> int:
    """A weight: float32, or quantized per channel along `axis`."""
    if integer is None:
        return graph.add(Part(values.shape, data=values.astype("<f4").tobytes()))
    others = tuple(dimension for dimension in range(values.ndim) if dimension != axis)
    scale = np.abs(values).max(axis=others, keepdims=True) / 100 + 1e-4
    zero_point = np.arange(scale.size).reshape(scale.shape) % 5  # TFLite uses 0; the formula holds for any
    stored = (np.round(values / scale) + zero_point).astype(integer)
    kind = tflite.TensorType.INT8 if integer == np.int8 else tflite.TensorType.INT32
    return graph.add(Part(values.shape, kind, stored.tobytes(), tuple(scale.ravel()), tuple(zero_point.ravel()), axis))


def integers(graph: Graph, values: object) -> int:
    array = np.asarray(values, "<i4")
    return graph.add(Part(array.shape, tflite.TensorType.INT32, array.tobytes()))


def graph_of(network: FastDepth, *, quantized: bool = False) -> Graph:
    """The graph that a TFLite converter makes of a folded FastDepth."""
    graph, weights = Graph(), {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    at = graph.add(Part((1, 224, 224, 3)))

    def convolution(at: int, name: str, kernel: int, activation: int, stride: int = 1) -> int:
        depthwise = ".dw." in name
        if kernel > 1:
            pad = integers(graph, [[0, 0], [kernel // 2] * 2, [kernel // 2] * 2, [0, 0]])
            at = graph.step("PAD", [at, pad])
        weight = weights[f"{name}.weight"].transpose((1, 2, 3, 0) if depthwise else (0, 2, 3, 1))
        inputs = [at, constant(graph, weight, 3 if depthwise else 0, np.dtype("i1") if quantized else None)]
        inputs.append(constant(graph, weights[f"{name}.bias"], 0, np.dtype("<i4") if quantized else None))
        options = {"StrideH": stride, "StrideW": stride, "Padding": 1, "FusedActivationFunction": activation}
        if depthwise:
            return graph.step("DEPTHWISE_CONV_2D", inputs, "DepthwiseConv2DOptions", DepthMultiplier=1, **options)
        return graph.step("CONV_2D", inputs, "Conv2DOptions", **options)

    relu, relu6 = tflite.ActivationFunctionType.RELU, tflite.ActivationFunctionType.RELU6
    if quantized:
        graph.parts[0] = Part((1, 224, 224, 3), tflite.TensorType.UINT8, scale=(1 / 255,), zero_point=(0,))
        at = graph.step("QUANTIZE", [at])
    kept = {}
    for layer, stride in enumerate(ENCODER_STRIDES):
        at = convolution(at, f"encoder.{layer}.{'dw.' if layer else ''}conv", 3, relu6, stride)
        at = convolution(at, f"encoder.{layer}.pw.conv", 1, relu6) if layer else at
        if layer in SKIPS:
            kept[SKIPS[layer]] = at
    for layer in range(1, 6):
        at = convolution(at, f"decoder.{layer - 1}.dw.conv", 5, relu)
        at = convolution(at, f"decoder.{layer - 1}.pw.conv", 1, relu)
        size = integers(graph, [7 * 2**layer] * 2)
        at = graph.step("RESIZE_NEAREST_NEIGHBOR", [at, size], "ResizeNearestNeighborOptions")
        if layer in kept:
            at = graph.step("ADD", [kept[layer], at], "AddOptions")
    at = convolution(at, "head", 1, relu)
    if quantized:
        graph.step("DEQUANTIZE", [at])
    return graph


def small_network() -> FastDepth:
    torch.manual_seed(3)
    return FastDepth(SMALL, batch_norm=False).eval()


def written(graph: Graph, folder: Path) -> Path:
    path = folder / "network.tflite"
    path.write_bytes(serialize(graph))
    return path


# --- what it reads ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def public_network(shared: Path) -> FastDepth:
    return import_tflite(shared / "data" / "weights" / "fast_depth_224_int8.tflite")


def torch_name(name: str) -> str:
    """Ours for the archive's: conv3.dw.weight is encoder.3.dw.conv.weight, decode_conv6.bias is head.bias."""
    layer, *block, kind = name.split(".")
    if layer == "decode_conv6":
        return f"head.{kind}"
    room, number = ("decoder", int(layer[11:]) - 1) if layer.startswith("decode") else ("encoder", int(layer[4:]))
    return ".".join([room, str(number), *block, "conv", kind])


@pytest.mark.shared
def test_public_file_gives_the_pruned_network_and_the_dequantized_weights(
    shared: Path, public_network: FastDepth
) -> None:
    assert public_network.channels == PRUNED
    assert not public_network.training
    found = public_network.state_dict()
    with np.load(shared / "data" / "weights" / "fastdepth_pruned_bnfolded_dequant.npz") as archive:
        assert {torch_name(name) for name in archive.files} == set(found)
        for name in archive.files:
            np.testing.assert_array_equal(found[torch_name(name)].numpy(), archive[name], err_msg=name)


@pytest.mark.shared
def test_public_file_predicts_what_its_authors_published(shared: Path, public_network: FastDepth) -> None:
    sample = shared / "data" / "nyu_sample"
    rgb = torch.from_numpy(np.load(sample / "rgb.npy")).permute(2, 0, 1)[None].float()
    published_m = np.load(sample / "pred.npy").squeeze()
    with torch.no_grad():
        depth_m = public_network(rgb).squeeze().numpy()
    assert np.abs(depth_m - published_m).mean() < 0.03
    assert np.corrcoef(depth_m.ravel(), published_m.ravel())[0, 1] > 0.998


def test_float32_file_gives_the_same_weights(tmp_path: Path) -> None:
    network = small_network()
    found = import_tflite(written(graph_of(network), tmp_path))
    assert found.channels == SMALL
    assert not found.training
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], tensor, rtol=0, atol=0, msg=name)


def test_int8_file_gives_each_channel_within_half_a_step(tmp_path: Path) -> None:
    network = small_network()
    found = import_tflite(written(graph_of(network, quantized=True), tmp_path)).state_dict()
    for name, tensor in network.state_dict().items():
        step = tensor.abs().flatten(1).amax(1) / 100 + 1e-4 if tensor.ndim > 1 else tensor.abs() / 100 + 1e-4
        error = (found[name] - tensor).abs().flatten(1).amax(1) if tensor.ndim > 1 else (found[name] - tensor).abs()
        assert (error <= 0.501 * step).all(), name


def test_same_padding_at_stride_1_is_as_good_as_pad(tmp_path: Path) -> None:
    graph = graph_of(small_network())
    pad = graph.find("PAD", 1)
    step = graph.find("DEPTHWISE_CONV_2D")
    step.inputs[0], step.options["Padding"] = pad.inputs[0], tflite.Padding.SAME
    graph.steps.remove(pad)
    assert import_tflite(written(graph, tmp_path)).channels == SMALL


# --- what it refuses: other networks ----------------------------------------------------------------------------------


def test_a_lone_convolution_is_refused_by_where_it_ends(tmp_path: Path) -> None:
    graph = Graph()
    at = graph.add(Part((1, 224, 224, 3)))
    at = graph.step("PAD", [at, integers(graph, [[0, 0], [1, 1], [1, 1], [0, 0]])])
    weight, bias = constant(graph, np.ones((2, 3, 3, 3)), 0, None), constant(graph, np.ones(2), 0, None)
    graph.step(
        "CONV_2D",
        [at, weight, bias],
        "Conv2DOptions",
        StrideH=2,
        StrideW=2,
        Padding=1,
        FusedActivationFunction=tflite.ActivationFunctionType.RELU6,
    )
    with pytest.raises(CheckpointError, match="operator 2 is the end of the graph, expected DEPTHWISE_CONV_2D"):
        import_tflite(written(graph, tmp_path))


def unpad_first(graph: Graph) -> None:
    graph.steps.pop(0)
    graph.steps[0].inputs[0] = 0
    graph.steps[0].options["Padding"] = tflite.Padding.SAME


def skip_nothing(graph: Graph) -> None:
    graph.find("ADD").inputs[0] = graph.find("ADD", 1).inputs[0]


def append_softmax(graph: Graph) -> None:
    graph.step("SOFTMAX", [graph.steps[-1].output], "SoftmaxOptions")


def kernel(graph: Graph, kind: str = "CONV_2D", number: int = 0, place: int = 1) -> Part:
    return graph.parts[graph.find(kind, number).inputs[place]]


def no_scale(graph: Graph) -> None:
    kernel(graph).scale = ()


DIFFERENCES: dict[str, tuple[bool, Callable[[Graph], object], str]] = {
    "input size": (False, lambda g: setattr(g.parts[0], "shape", (1, 96, 96, 3)), r"input shape \[1, 96, 96, 3\]"),
    "input type": (False, lambda g: setattr(g.parts[0], "kind", tflite.TensorType.INT16), "input type INT16"),
    "input from -1": (True, lambda g: setattr(g.parts[0], "zero_point", (128,)), "bytes mean -0.502 to 0.498"),
    "input as 0 to 255": (True, lambda g: setattr(g.parts[0], "scale", (1.0,)), "bytes mean 0.000 to 255.000"),
    "stride": (False, lambda g: g.find("CONV_2D").options.update(StrideH=1), r"encoder.0.conv\) has stride \(1, 2\)"),
    "dilation": (False, lambda g: g.find("CONV_2D").options.update(DilationWFactor=2), r"dilation \(1, 2\)"),
    "activation": (
        False,
        lambda g: g.find("CONV_2D", 3).options.update(FusedActivationFunction=1),
        "encoder.3.pw.conv.* has fused activation RELU, expected RELU6",
    ),
    "lopsided padding": (False, unpad_first, "pads with SAME at stride 2, expected 1 px on each side"),
    "no padding": (False, lambda g: g.find("DEPTHWISE_CONV_2D").options.update(Padding=0), "pads with PAD and SAME"),
    "wide padding": (False, lambda g: setattr(g.parts[g.steps[0].inputs[1]], "data", b"\2\0\0\0" * 8), "has padding"),
    "kernel size": (False, lambda g: setattr(kernel(g), "shape", (1, 3, 3, 6)), r"kernel shape \(1, 3, 3, 6\)"),
    "depthwise kernel": (
        False,
        lambda g: setattr(kernel(g, "DEPTHWISE_CONV_2D"), "shape", (1, 6, 3, 1)),
        r"kernel shape \(1, 6, 3, 1\), expected \(1, 3, 3, 2\)",
    ),
    "no bias": (False, lambda g: g.find("CONV_2D").inputs.pop(), "number of inputs 2, expected 3"),
    "bias nowhere": (False, lambda g: g.find("CONV_2D").inputs.__setitem__(2, -1), "tensor -1 does not exist"),
    "float16 weights": (False, lambda g: setattr(kernel(g), "kind", tflite.TensorType.FLOAT16), "constant of FLOAT16"),
    "not a number": (False, lambda g: setattr(kernel(g), "data", np.full(54, np.nan, "<f4").tobytes()), "not finite"),
    "shape beyond its bytes": (False, lambda g: setattr(kernel(g), "shape", (2**31 - 1,) * 4), "in 216 bytes"),
    "negative shape": (False, lambda g: setattr(kernel(g), "shape", (-2, -3, 3, 3)), "in 216 bytes"),
    "no such buffer": (False, lambda g: setattr(kernel(g), "buffer", 9999), "reads buffer 9999"),
    "no scale": (True, no_scale, "integers without quantization"),
    "scales of other channels": (True, lambda g: setattr(kernel(g), "scale", (1.0,) * 3), "3 scales and 2 zero points"),
    "scales along another axis": (True, lambda g: setattr(kernel(g), "axis", 1), "quantized dimension 1, expected 0"),
    "infinite scale": (True, lambda g: setattr(kernel(g), "scale", (np.inf, 1.0)), "not positive numbers"),
    "aligned corners": (False, lambda g: g.find("RESIZE_NEAREST_NEIGHBOR").options.update(AlignCorners=1), "corners"),
    "bilinear": (
        False,
        lambda g: setattr(g.find("RESIZE_NEAREST_NEIGHBOR"), "kind", "RESIZE_BILINEAR"),
        "is RESIZE_BILINEAR, expected RESIZE_NEAREST_NEIGHBOR",
    ),
    "concatenated skip": (False, lambda g: setattr(g.find("ADD"), "kind", "CONCATENATION"), "is CONCATENATION"),
    "other skip": (False, skip_nothing, r"\(ADD\) has pair of tensors"),
    "options of another operator": (False, lambda g: setattr(g.find("ADD"), "table", "SubOptions"), "no AddOptions"),
    "another branch": (False, lambda g: g.find("CONV_2D").inputs.__setitem__(0, 0), "first input 0, expected"),
    "more after the head": (False, append_softmax, "is SOFTMAX, expected none after the head"),
}


@pytest.mark.parametrize("case", DIFFERENCES)
def test_another_network_is_refused_by_what_differs(case: str, tmp_path: Path) -> None:
    quantized, spoil, message = DIFFERENCES[case]
    graph = graph_of(small_network(), quantized=quantized)
    spoil(graph)
    with pytest.raises(CheckpointError, match=message) as refusal:
        import_tflite(written(graph, tmp_path))
    assert "is not the FastDepth network" in str(refusal.value)


def test_constants_that_share_bytes_cannot_add_up_to_more_than_the_file(tmp_path: Path) -> None:
    wide = 500
    network = FastDepth(Channels((2,) * 5 + (wide,) * 9, (2, wide, 2, 2, 2)), batch_norm=False)
    graph = graph_of(network, quantized=True)
    first = kernel(graph, number=6)
    buffer = [part for part in graph.parts if part.data].index(first) + 1  # after the empty one
    for number in range(7, 14):
        kernel(graph, number=number).data, kernel(graph, number=number).buffer = b"-", buffer
    content = serialize(graph)
    assert len(content) < 4 * wide * wide  # and eight kernels of wide * wide
    path = tmp_path / "shared.tflite"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="hold more than the file"):
        import_tflite(path)


# --- what it refuses: other files -------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"\0", b"TFL3", b"\x89PNG\r\n\x1a\n" * 9, b"garbage " * 999])
def test_another_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.tflite"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="other.tflite is not a TFLite file"):
        import_tflite(path)


@pytest.mark.parametrize("filler", [b"", b"\0" * 64, b"\xff" * 64, b"\x7f" * 64, b"\x10\0\0\0" * 64])
def test_the_mark_alone_is_not_enough(filler: bytes, tmp_path: Path) -> None:
    path = tmp_path / "marked.tflite"
    path.write_bytes(b"\x08\0\0\0TFL3" + filler)
    with pytest.raises(CheckpointError, match="marked.tflite is"):
        import_tflite(path)


def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    content = serialize(graph_of(small_network()))
    path = tmp_path / "short.tflite"
    for length in range(8, len(content) - 4, 997):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=r"short.tflite is"):
            import_tflite(path)


def test_a_damaged_file_is_read_or_refused(tmp_path: Path) -> None:
    content = serialize(graph_of(small_network(), quantized=True))
    path, chance = tmp_path / "damaged.tflite", random.Random(0)
    refused = 0
    for _ in range(150):
        damaged = bytearray(content)
        for _ in range(chance.choice((1, 8, 64))):
            damaged[chance.randrange(8, len(damaged))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        path.write_bytes(damaged)
        try:
            import_tflite(path)
        except CheckpointError:
            refused += 1
    assert refused > 30  # the rest changed a weight or what nothing reads


def test_a_file_too_large_for_the_network_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.tflite"
    with path.open("wb") as sparse:
        sparse.truncate(LARGEST_FILE_BYTES + 1)
    with pytest.raises(CheckpointError, match="a FastDepth at most"):
        import_tflite(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no TFLite file at .*absent.tflite"):
        import_tflite(tmp_path / "absent.tflite")


def test_missing_bindings_name_what_installs_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tflite", None)
    with pytest.raises(CheckpointError, match=r"fastdepth_ros\[torch\]"):
        import_tflite(tmp_path / "any.tflite")
