"""The network is the paper's, and what is deployed computes the same."""

from __future__ import annotations

import pytest
import torch
from small_networks import UNEVEN
from torch import Tensor, nn
from torch.nn import functional

from fastdepth_ros.nn.channels import Channels
from fastdepth_ros.nn.checkpoints import folded
from fastdepth_ros.nn.deployed import Deployed
from fastdepth_ros.nn.network import FastDepth, initialize


def lively(channels: Channels = UNEVEN, seed: int = 0) -> FastDepth:
    """Weights and statistics such that every layer matters and depth varies by meters."""
    network = FastDepth(channels)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                fan_in = module.weight[0].numel()
                module.weight.normal_(0, (2 / fan_in) ** 0.5, generator=generator)
            elif isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.6, 1.1, generator=generator)
                module.bias.normal_(0.3, 0.3, generator=generator)
                module.running_mean.normal_(0, 0.2, generator=generator)
                module.running_var.uniform_(0.7, 1.6, generator=generator)
        network.head.bias.fill_(1.5)
    return network.eval()


def images(count: int = 1, size: int = 224, seed: int = 1) -> Tensor:
    """Random colors in blocks of different sizes, in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 7, 7, generator=generator)
    fine = torch.rand(count, 3, size, size, generator=generator)
    return 0.7 * functional.interpolate(coarse, size=(size, size), mode="nearest") + 0.3 * fine


def as_the_paper_draws_it(network: FastDepth, rgb: Tensor) -> Tensor:
    """Fig. 2 with plain functions, from the convolutions and batch norms in the order in which they lie."""
    layers = [module for module in network.modules() if isinstance(module, (nn.Conv2d, nn.BatchNorm2d))]
    pending = iter(layers)

    def conv_bn(x: Tensor, stride: int, limit: float | None) -> Tensor:
        conv, bn = next(pending), next(pending)
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(bn, nn.BatchNorm2d)
        x = functional.conv2d(
            x, conv.weight, None, stride, conv.weight.shape[-1] // 2, groups=x.shape[1] // conv.weight.shape[1]
        )
        scale = bn.weight / (bn.running_var + bn.eps).sqrt()
        x = (x - bn.running_mean[:, None, None]) * scale[:, None, None] + bn.bias[:, None, None]
        return x.clamp(0, limit)

    kept = []
    x = conv_bn(rgb, 2, 6)
    for stride in (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1):
        kept.append(x)
        x = conv_bn(conv_bn(x, stride, 6), 1, 6)
    for layer in (1, 2, 3, 4, 5):
        x = conv_bn(conv_bn(x, 1, None), 1, None)
        x = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        skip = {2: 5, 3: 3, 4: 1}.get(layer)
        if skip is not None:
            x = x + kept[skip]
    head = next(pending)
    assert next(pending, None) is None
    return functional.conv2d(x, head.weight, head.bias).clamp_min(0)


@torch.inference_mode()
def test_it_computes_what_the_paper_draws():
    for seed in range(3):
        network, rgb = lively(seed=seed).double(), images(2, 96, seed).double()
        depth = network(rgb)
        assert depth.shape == (2, 1, 96, 96)
        assert depth.std() > 0.03
        torch.testing.assert_close(depth, as_the_paper_draws_it(network, rgb), atol=1e-9, rtol=0)


def test_kernels_are_3x3_in_the_encoder_5x5_in_the_decoder_1x1_across():
    network = FastDepth(UNEVEN)
    shapes = [tuple(m.weight.shape) for m in network.encoder.modules() if isinstance(m, nn.Conv2d)]
    assert shapes[0] == (4, 3, 3, 3)
    assert shapes[1::2] == [(count, 1, 3, 3) for count in UNEVEN.encoder[:-1]]
    assert [shape[2:] for shape in shapes[2::2]] == [(1, 1)] * 13
    shapes = [tuple(m.weight.shape) for m in network.decoder.modules() if isinstance(m, nn.Conv2d)]
    assert shapes[::2] == [(count, 1, 5, 5) for count in (UNEVEN.encoder[-1], *UNEVEN.decoder[:-1])]


@torch.inference_mode()
def test_the_encoder_is_cut_at_6_and_the_decoder_is_not():
    network = lively()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.bias.add_(20)
    x = images()
    for block in network.encoder:
        x = block(x)
        assert x.max() == 6
    for block in network.decoder:
        x = block(x)
        assert x.max() > 6


@torch.inference_mode()
def test_depth_is_never_negative():
    network = lively()
    network.head.bias.fill_(-1)
    depth = network(images())
    assert depth.min() == 0


@torch.inference_mode()
def test_the_head_before_the_upsample_equals_the_plain_network():
    network, rgb = lively(), images()
    half, depth = network.half_resolution(rgb), network(rgb)
    assert depth.shape == (1, 1, 224, 224)
    assert half.shape == (1, 1, 112, 112)
    repeated = half.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    torch.testing.assert_close(repeated, depth, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_folding_batch_norm_equals_the_plain_network():
    network, rgb = lively(), images()
    expected = network(rgb)
    plain = folded(network)
    assert not [module for module in plain.modules() if isinstance(module, nn.BatchNorm2d)]
    torch.testing.assert_close(plain(rgb), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(network(rgb), expected, atol=0, rtol=0)  # left as it was


@torch.inference_mode()
def test_folding_twice_changes_nothing():
    once = folded(lively())
    torch.testing.assert_close(folded(once)(images()), once(images()), atol=0, rtol=0)


@torch.inference_mode()
def test_the_deployed_form_takes_bytes_and_equals_the_plain_network():
    network = lively()
    pixels = (images() * 255).round().to(torch.uint8)
    (depth,) = Deployed(network)(pixels.permute(0, 2, 3, 1).contiguous())
    assert depth.dtype == torch.float32
    expected = network(pixels.float() / 255)
    torch.testing.assert_close(depth, expected, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_the_depth_map_is_a_half_size_map_repeated():
    depth = lively()(images())[0, 0]
    blocks = depth.reshape(112, 2, 112, 2)
    assert (blocks == blocks[:, :1, :, :1]).all()


def test_gradients_reach_every_parameter():
    network = lively().train()
    network(images(2, 64)).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0 or name.endswith("bn.bias"), name


@torch.inference_mode()
def test_a_fresh_network_answers_the_mean_depth_and_depends_on_the_seed():
    networks = []
    for seed in (3, 3, 4):
        network = FastDepth(UNEVEN)
        initialize(network, mean_depth_m=2.2, seed=seed)
        networks.append(network)
    depth = networks[0].train()(images(4, 64))
    assert depth.min() > 0
    assert depth.mean().item() == pytest.approx(2.2, abs=0.2)
    one, same, other = (dict(network.named_parameters()) for network in networks)
    assert all((one[name] == same[name]).all() for name in one)
    assert any((one[name] != other[name]).any() for name in one)
