"""A slimmed network keeps the filters of the largest norm; a widened one computes the same as before."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fastdepth_ros.nn.channels import SKIPS, Channels
from fastdepth_ros.nn.checkpoints import folded
from fastdepth_ros.nn.network import FastDepth, initialize
from fastdepth_ros.prune.surgery import filter_norms, slimmed, widened

WHOLE = Channels((4, 8, 8, 12, 8, 8, 8, 8, 8, 8, 8, 8, 8, 16), (8, 8, 12, 8, 4))
FEWER = Channels((4, 6, 8, 10, 5, 8, 8, 8, 7, 8, 8, 8, 8, 9), (8, 8, 10, 6, 3))


@pytest.fixture
def network() -> FastDepth:
    """Network with batch norms that scale each filter differently."""
    network = FastDepth(WHOLE)
    initialize(network)
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 2, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            module.running_mean.normal_(generator=generator)
    return network.eval()


def rgb() -> torch.Tensor:
    return torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def filters(network: FastDepth, layer: tuple[str, int]) -> torch.Tensor:
    block = getattr(network, layer[0])[layer[1]]
    return (block.pw if hasattr(block, "pw") else block).conv.weight


def test_the_same_channels_change_nothing(network):
    with torch.no_grad():
        assert torch.equal(slimmed(network, WHOLE)(rgb()), network(rgb()))


def test_filters_that_do_nothing_can_go_without_a_trace(network):
    """Silence as many filters of each layer as are to go: what is left computes the same."""
    generator = torch.Generator().manual_seed(2)
    tied = {("decoder", decoder - 1): ("encoder", encoder) for encoder, decoder in SKIPS.items()}
    silent: dict[tuple[str, int], torch.Tensor] = {}
    for layer in filter_norms(network):
        have, want = WHOLE.as_mapping()[layer[0]][layer[1]], FEWER.as_mapping()[layer[0]][layer[1]]
        drawn = torch.randperm(have, generator=generator)[: have - want]
        silent[layer] = silent[tied[layer]] if layer in tied else drawn
        block = getattr(network, layer[0])[layer[1]]
        last = block.pw if hasattr(block, "pw") else block
        last.conv.weight.data[silent[layer]] = 0
        last.bn.running_mean[silent[layer]] = 0
        last.bn.bias.data[silent[layer]] = 0
    for name, module in network.named_modules():  # nothing may come of a silent channel in the next layer either
        if name.endswith("dw.bn"):
            module.bias.data.copy_(module.running_mean * module.weight / (module.running_var + module.eps).sqrt())
    slim = slimmed(network, FEWER)
    assert slim.channels == FEWER
    with torch.no_grad():
        torch.testing.assert_close(slim(rgb()), network(rgb()))


def test_the_norm_is_that_of_the_filter_as_it_is_deployed(network):
    norms, plain = filter_norms(network), folded(network)
    for layer in (("encoder", 0), ("encoder", 4), ("decoder", 0)):
        torch.testing.assert_close(norms[layer], filters(plain, layer).flatten(1).norm(dim=1))


def test_layers_that_a_skip_ties_keep_the_same_filters(network):
    norms, plain = filter_norms(network), folded(network)
    for encoder, decoder in SKIPS.items():
        one, other = (filters(plain, layer).flatten(1) for layer in (("encoder", encoder), ("decoder", decoder - 1)))
        torch.testing.assert_close(norms["encoder", encoder], torch.cat((one, other), 1).norm(dim=1))
        assert torch.equal(norms["encoder", encoder], norms["decoder", decoder - 1])


def test_the_kept_filters_are_the_largest_in_their_old_order(network):
    kept = filters(slimmed(network, FEWER), ("encoder", 13))
    norms = filter_norms(network)["encoder", 13]
    largest = sorted(norms.topk(9).indices.tolist())
    inputs = filter_norms(network)["encoder", 12].topk(8).indices.sort().values
    assert torch.equal(kept, filters(network, ("encoder", 13))[largest][:, inputs])


def test_a_layer_cannot_grow(network):
    with pytest.raises(ValueError, match="8 filters cannot become 9"):
        slimmed(network, Channels((4, 8, 8, 12, 9, *WHOLE.encoder[5:]), WHOLE.decoder))


def test_a_folded_network_is_refused(network):
    with pytest.raises(ValueError, match="folded"):
        slimmed(folded(network), FEWER)


def test_a_widened_network_computes_what_it_did_and_its_new_filters_learn(network):
    wide = widened(slimmed(network, FEWER), WHOLE)
    assert wide.channels == WHOLE
    with torch.no_grad():
        torch.testing.assert_close(wide(rgb()), slimmed(network, FEWER)(rgb()))
    wide(rgb()).sum().backward()
    assert filters(wide, ("decoder", 4)).grad[:, 6:].abs().sum() > 0  # what it hears of the new filters
    assert filters(wide, ("decoder", 3))[6:].abs().sum() > 0


def test_a_widened_network_has_no_layer_that_shrinks(network):
    with pytest.raises(ValueError, match="cannot become"):
        widened(network, Channels((*WHOLE.encoder[:13], 15), WHOLE.decoder))
