"""Every encoder goes with every decoder, kernel and skip, and each part is what the paper says it is."""

from __future__ import annotations

from itertools import cycle, product

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from fastdepth_ros.nn.channels import UNPRUNED
from fastdepth_ros.nn.efficientnet import SamePad
from fastdepth_ros.nn.encoders import ENCODERS, load_classifier
from fastdepth_ros.nn.layers import DECODERS, KERNELS, DeConv5, NNConv5, UpConv, UpProj, insert_zeros
from fastdepth_ros.nn.network import JOINS, AddSkip, DepthNetwork, FastDepth, parts

NAMES = parts()
# Weights of the classifier, layers of each stage, channels of the maps.
LITE = {
    "efficientnet_lite0": (4_652_008, (1, 2, 2, 3, 3, 4, 1), (16, 24, 40, 320)),
    "efficientnet_lite1": (5_416_680, (1, 3, 3, 4, 4, 5, 1), (16, 24, 40, 320)),
    "efficientnet_lite2": (6_092_072, (1, 3, 3, 4, 4, 5, 1), (16, 24, 48, 352)),
}
FIRST_NOW_OTHERS_SLOW = [
    pytest.param(name, marks=[pytest.mark.slow] if number else []) for number, name in enumerate(NAMES["encoder"])
]
COMBINATIONS = list(product(*NAMES.values()))
RGB = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def encoders() -> dict[str, nn.Module]:
    return {name: ENCODERS[name]().eval() for name in NAMES["encoder"]}


class Answers(nn.Module):
    """An encoder that answers with the same maps, whatever it is shown."""

    def __init__(self, *maps: Tensor) -> None:
        super().__init__()
        self.maps, self.widths = list(maps), tuple(x.shape[1] for x in maps)

    def forward(self, rgb: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.maps)


@pytest.fixture(scope="module")
def answers(encoders) -> dict[str, Answers]:
    """Maps of each encoder for an RGB image, computed once."""
    with torch.inference_mode():
        return {name: Answers(*encoder(RGB)) for name, encoder in encoders.items()}


def test_the_parts_are_those_of_the_paper_and_our_teachers_encoders():
    assert {
        "encoder": ["mobilenet", "mobilenet_v2", "resnet18", "resnet50", *LITE],
        "decoder": ["nnconv5", "deconv5", "upconv", "upproj"],
        "kernel": ["standard", "depthwise"],
        "skip": ["none", "add", "concat"],
    } == NAMES


@pytest.mark.parametrize("registry", [ENCODERS, DECODERS, KERNELS, JOINS], ids=lambda registry: registry.kind)
def test_an_unknown_name_lists_the_known_ones(registry):
    with pytest.raises(ValueError, match=f"unknown {registry.kind} 'alexnet'; there is {', '.join(registry.names())}"):
        registry["alexnet"]


@pytest.mark.parametrize("name", NAMES["encoder"])
def test_each_encoder_returns_maps_at_a_half_quarter_eighth_and_7x7(encoders, answers, name):
    maps = answers[name].maps
    assert [tuple(x.shape[2:]) for x in maps] == [(112, 112), (56, 56), (28, 28), (7, 7)]
    assert answers[name].widths == encoders[name].widths
    assert encoders[name].widths[-1] == (LITE[name][2][-1] if name in LITE else 1024)


@pytest.mark.parametrize(("encoder", "decoder", "kernel", "skip"), COMBINATIONS)
def test_each_combination_makes_depth_of_224x224(encoders, encoder, decoder, kernel, skip):
    with torch.device("meta"):
        maps = Answers(
            *(torch.empty(1, n, 224 // s, 224 // s) for n, s in zip(encoders[encoder].widths, (2, 4, 8, 32)))
        )
        network = DepthNetwork(maps, decoder, kernel=kernel, skip=skip, widths=(8, 8, 8, 4, 4)).eval()
        assert network(torch.empty(1, 3, 224, 224)).shape == (1, 1, 224, 224)


@torch.inference_mode()
@pytest.mark.parametrize("encoder", FIRST_NOW_OTHERS_SLOW)
def test_the_depth_of_each_combination_is_finite(answers, encoder):
    for decoder, kernel, skip in product(NAMES["decoder"], NAMES["kernel"], NAMES["skip"]):
        narrow = DepthNetwork(answers[encoder], decoder, kernel=kernel, skip=skip, widths=(8, 8, 8, 4, 4)).eval()
        assert narrow(RGB).isfinite().all(), (decoder, kernel, skip)


@pytest.mark.parametrize(
    ("encoder", "decoder", "skip"),
    list(zip(NAMES["encoder"], cycle(NAMES["decoder"]), cycle(("none", "add", "concat")))),
)
def test_a_variant_is_made_of_the_parts_of_these_names(encoder, decoder, skip):
    with torch.device("meta"):
        network = DepthNetwork.of(encoder, decoder, kernel="standard", skip=skip).eval()
        assert network(torch.empty(1, 3, 224, 224)).shape == (1, 1, 224, 224)
    assert type(network.encoder) is ENCODERS[encoder]
    assert {type(layer) for layer in network.decoder} == {DECODERS[decoder]}
    assert {type(join) for join in network.joins} == {JOINS[skip]}


@torch.inference_mode()
@pytest.mark.parametrize("decoder", NAMES["decoder"])
def test_skips_reach_the_depth_and_without_them_only_the_last_map_does(decoder):
    for skip in NAMES["skip"]:
        torch.manual_seed(0)
        encoder = Answers(*(torch.rand(1, width, side, side) for width, side in zip((4, 6, 5, 8), (32, 16, 8, 2))))
        network = DepthNetwork(encoder, decoder, kernel="standard", skip=skip, widths=(8, 7, 6, 4, 3)).eval()
        network.head.bias.fill_(5)  # nothing is cut by the last ReLU
        before = network(RGB)
        for index in range(4):
            network.encoder.maps[index] = network.encoder.maps[index] + 1
            after = network(RGB)
            assert (after != before).any() == (skip != "none" or index == 3), (skip, index)
            before = after


@torch.inference_mode()
def test_add_sums_equal_channels_and_projects_others():
    x, kept = torch.rand(2, 1, 6, 4, 4)
    assert (AddSkip(6, 6)(x, kept) == x + kept).all()
    assert not AddSkip(6, 6).state_dict()
    assert AddSkip(6, 3).project.weight.shape == (6, 3, 1, 1)


@torch.inference_mode()
def test_zeros_are_inserted_below_and_to_the_right_of_each_pixel():
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])[None, None]
    expected = [[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]]
    assert insert_zeros(x)[0, 0].tolist() == expected


@torch.inference_mode()
@pytest.mark.parametrize("kernel", NAMES["kernel"])
def test_each_decoder_layer_doubles_the_height_and_the_width(kernel):
    for name in NAMES["decoder"]:
        layer = DECODERS[name](6, 3, kernel=kernel).eval()
        assert layer(torch.rand(2, 6, 5, 7)).shape == (2, 3, 10, 14), name


@torch.inference_mode()
def test_nnconv5_convolves_before_it_repeats_the_pixels():
    layer, x = NNConv5(6, 3, kernel="standard").eval(), torch.rand(1, 6, 5, 7)
    repeated = layer.convolve(x).repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert (layer(x) == repeated).all()


@torch.inference_mode()
def test_deconv5_is_upconv_with_the_kernel_turned_around():
    deconv, upconv = DeConv5(6, 3, kernel="standard").eval(), UpConv(6, 3, kernel="standard").eval()
    upconv.conv.weight.copy_(deconv.conv.weight.transpose(0, 1).flip(2, 3))
    x = torch.rand(1, 6, 5, 7)
    torch.testing.assert_close(deconv(x), upconv(x))


@torch.inference_mode()
def test_upproj_is_upconv_where_the_3x3_is_zero():
    upproj, upconv = UpProj(6, 3, kernel="standard").eval(), UpConv(6, 3, kernel="standard").eval()
    upproj.second.conv.weight.zero_()
    upconv.conv.weight.copy_(upproj.shortcut.conv.weight)
    x = torch.rand(1, 6, 5, 7)
    torch.testing.assert_close(upproj(x), upconv(x))


@pytest.mark.parametrize(
    ("name", "known", "parameters"),
    [
        (
            "resnet18",
            {
                "conv1.weight": (64, 3, 7, 7),
                "bn1.running_mean": (64,),
                "layer1.0.conv1.weight": (64, 64, 3, 3),
                "layer2.0.downsample.0.weight": (128, 64, 1, 1),
                "layer2.0.downsample.1.weight": (128,),
                "layer3.1.conv2.weight": (256, 256, 3, 3),
                "layer4.1.bn2.running_var": (512,),
            },
            11_689_512 - 513_000,  # torchvision's model without fc
        ),
        (
            "resnet50",
            {
                "conv1.weight": (64, 3, 7, 7),
                "layer1.0.downsample.0.weight": (256, 64, 1, 1),
                "layer1.2.conv3.weight": (256, 64, 1, 1),
                "layer2.3.bn3.bias": (512,),
                "layer3.5.conv2.weight": (256, 256, 3, 3),
                "layer4.0.conv1.weight": (512, 1024, 1, 1),
                "layer4.2.bn3.num_batches_tracked": (),
            },
            25_557_032 - 2_049_000,
        ),
        (
            "mobilenet_v2",
            {
                "features.0.0.weight": (32, 3, 3, 3),
                "features.0.1.running_var": (32,),
                "features.1.conv.0.0.weight": (32, 1, 3, 3),
                "features.1.conv.1.weight": (16, 32, 1, 1),
                "features.2.conv.1.0.weight": (96, 1, 3, 3),
                "features.7.conv.2.weight": (64, 192, 1, 1),
                "features.13.conv.3.bias": (96,),
            },
            3_504_872 - 1_281_000 - 412_160 - 1_269_184,  # ... classifier, layer 18, layers 14 to 17
        ),
    ],
)
def test_parameters_are_called_as_in_torchvision(encoders, name, known, parameters):
    tensors = encoders[name].state_dict()
    assert {key: tuple(tensors[key].shape) for key in known} == known
    assert {key for key in tensors if key.startswith(("fc", "classifier", "features.14"))} == set()
    own = [tensor.numel() for key, tensor in encoders[name].named_parameters() if not key.startswith("project.")]
    assert sum(own) == parameters


@torch.inference_mode()
def test_the_first_block_of_a_stage_downsamples_but_in_resnet18s_first(encoders):
    def owners(name: str) -> list[str]:
        return [key.removesuffix(".downsample") for key, _ in encoders[name].named_modules()
                if key.endswith("downsample")]  # fmt: skip

    assert owners("resnet18") == ["layer2.0", "layer3.0", "layer4.0"]
    assert owners("resnet50") == ["layer1.0", "layer2.0", "layer3.0", "layer4.0"]
    assert encoders["resnet50"].layer2[0].conv2.stride == (2, 2)


def test_mobilenet_v2_has_fourteen_layers(encoders):
    assert len(encoders["mobilenet_v2"].features) == 14


@torch.inference_mode()
@pytest.mark.parametrize("name", LITE)
def test_an_efficientnet_lite_has_its_published_size_and_maps(name):
    """With the last 1x1 (to 1280, batch norm) and the classifier, as Tan & Le's repository says."""
    published, _, widths = LITE[name]
    encoder = ENCODERS[name]().eval()
    weights = sum(parameter.numel() for parameter in encoder.parameters())
    assert weights + widths[-1] * 1280 + 2 * 1280 + 1280 * 1000 + 1000 == published
    maps = encoder(torch.rand(1, 3, 96, 64))
    sides = [(48, 32), (24, 16), (12, 8), (3, 2)]
    assert [tuple(each.shape[1:]) for each in maps] == [(width, *side) for width, side in zip(widths, sides)]


@torch.inference_mode()
@pytest.mark.parametrize("name", LITE)
def test_an_efficientnet_lite_computes_its_weights_layer_by_layer(name):
    """A plain forward over the names of the published files, the layers of each stage written out."""
    encoder = ENCODERS[name]().eval()
    generator = torch.Generator().manual_seed(0)
    for key, tensor in encoder.state_dict().items():
        if key.endswith("running_var"):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif "conv" not in key and tensor.is_floating_point():
            tensor.normal_(0.5, 0.2, generator=generator)
    tensors = encoder.state_dict()

    def convolved(x: Tensor, key: str, norm: str, stride: int = 1) -> Tensor:
        kernel = tensors[f"{key}.weight"]
        side, before = kernel.shape[2], (kernel.shape[2] - 1) // 2 if stride == 1 else (kernel.shape[2] - 2) // 2
        x = functional.pad(x, (before, side - stride - before) * 2)
        x = functional.conv2d(x, kernel, stride=stride, groups=x.shape[1] if kernel.shape[1] == 1 else 1)
        mean, var, gain, bias = (
            tensors[f"{norm}.{leaf}"] for leaf in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.batch_norm(x, mean, var, gain, bias, eps=1e-3)

    rgb = torch.rand(1, 3, 64, 96, generator=generator)
    x = convolved((rgb * 255 - 127) / 128, "_conv_stem", "_bn0", stride=2).clamp(0, 6)
    expected, block = [], 0
    for stage, (layers, stride) in enumerate(zip(LITE[name][1], (1, 2, 2, 2, 1, 2, 1))):
        for layer in range(layers):
            of, y = f"_blocks.{block}", x
            if stage:
                y = convolved(y, f"{of}._expand_conv", f"{of}._bn0").clamp(0, 6)
            y = convolved(y, f"{of}._depthwise_conv", f"{of}._bn1", stride if layer == 0 else 1).clamp(0, 6)
            y = convolved(y, f"{of}._project_conv", f"{of}._bn2")
            x = x + y if layer else y
            block += 1
        if stage in (0, 1, 2, 6):
            expected.append(x)
    assert f"_blocks.{block}._bn1.bias" not in tensors
    for found, wanted in zip(encoder(rgb), expected, strict=True):
        assert float(wanted.std()) > 0.01
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_its_convolutions_pad_as_tensorflow_does():
    """Padding at stride 2 over an even side: the missing pixel is added on the right and below."""
    convolution = SamePad(1, 1, 3, 2, bias=False)
    torch.nn.init.ones_(convolution.weight)
    corner = torch.zeros(1, 1, 4, 4)
    corner[..., 0, 0] = 1
    assert convolution(corner).tolist() == [[[[1, 0], [0, 0]]]]
    assert convolution(corner.flip(2, 3)).tolist() == [[[[0, 0], [0, 1]]]]
    assert convolution(torch.ones(1, 1, 4, 4)).tolist() == [[[[9, 6], [6, 4]]]]


@torch.inference_mode()
def test_a_classifiers_file_loads_without_last_layer_and_batch_counts():
    trained, encoder = ENCODERS["resnet18"]().eval(), ENCODERS["resnet18"]().eval()
    tensors = {name: tensor for name, tensor in trained.state_dict().items() if "tracked" not in name}
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("project.")}
    projection = encoder.project.weight.clone()
    load_classifier(encoder, {**tensors, "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)})
    assert all((encoder.state_dict()[name] == tensor).all() for name, tensor in tensors.items())
    assert (encoder.project.weight == projection).all()


def test_another_classifier_s_file_is_refused_by_name(encoders):
    tensors = {**encoders["resnet18"].state_dict(), "layer3.0.conv1.weight": torch.zeros(1)}
    del tensors["bn1.bias"]
    with pytest.raises(ValueError, match=r"ResNet18: missing or of another shape: bn1.bias, layer3.0.conv1.weight$"):
        load_classifier(ENCODERS["resnet18"](), tensors)
    with pytest.raises(ValueError, match=r"no weights of ResNet50: .*, \.\.\.$"):
        load_classifier(encoders["resnet50"], encoders["resnet18"].state_dict())


def block(
    name: str, inputs: int, outputs: int, kernel: int, *, per_channel: bool = False
) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a convolution and its batch norm."""
    norm = {f"{name}.bn.{key}": (outputs,) for key in ("weight", "bias", "running_mean", "running_var")}
    weight = {f"{name}.conv.weight": (outputs, 1 if per_channel else inputs, kernel, kernel)}
    return {**weight, **norm, f"{name}.bn.num_batches_tracked": ()}


def test_fastdepth_keeps_the_names_under_which_it_was_saved():
    expected = block("encoder.0", 3, 32, 3)
    inputs = 32
    layers = [(f"encoder.{layer}", 3, outputs) for layer, outputs in enumerate(UNPRUNED.encoder) if layer]
    layers += [(f"decoder.{layer}", 5, outputs) for layer, outputs in enumerate(UNPRUNED.decoder)]
    for name, kernel, outputs in layers:
        expected |= block(f"{name}.dw", inputs, inputs, kernel, per_channel=True)
        expected |= block(f"{name}.pw", inputs, outputs, 1)
        inputs = outputs
    expected |= {"head.weight": (1, 32, 1, 1), "head.bias": (1,)}
    found = {name: tuple(tensor.shape) for name, tensor in FastDepth(UNPRUNED).state_dict().items()}
    assert found == expected
    assert list(found) == list(expected)


def test_fastdepth_is_the_variant_of_these_names():
    same = DepthNetwork.of("mobilenet", "nnconv5", kernel="depthwise", skip="add")
    network = FastDepth(UNPRUNED)
    network.load_state_dict(same.state_dict())
    with torch.inference_mode():
        assert (network.eval()(RGB) == same.eval()(RGB)).all()
