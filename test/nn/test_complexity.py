"""Weights and multiply-accumulates: the paper's numbers, and a count made here layer by layer."""

from __future__ import annotations

import pytest

from fastdepth_ros.nn.channels import PRUNED, UNPRUNED, Channels
from fastdepth_ros.nn.complexity import complexity
from fastdepth_ros.nn.network import FastDepth

ODD = Channels((3, 5, 4, 6, 2, 7, 3, 5, 4, 9, 8, 2, 5, 11), (6, 7, 6, 5, 3))


def counted(channels: Channels) -> dict[str, tuple[int, int]]:
    """(weights, macs) with the paper's strides, kernel sizes and feature sizes."""
    side, inputs = 112, channels.encoder[0]
    encoder = [(9 * 3 * inputs, side)]
    for layer, outputs in enumerate(channels.encoder[1:], start=1):
        side //= 2 if layer in (2, 4, 6, 12) else 1
        encoder += [(9 * inputs, side), (inputs * outputs, side)]
        inputs = outputs
    decoder = []
    for outputs in channels.decoder:
        decoder += [(25 * inputs, side), (inputs * outputs, side)]
        inputs, side = outputs, side * 2
    parts = {"encoder": encoder, "decoder": decoder, "head": [(inputs, side)]}
    sums = {part: (sum(w for w, _ in rows), sum(w * s * s for w, s in rows)) for part, rows in parts.items()}
    return {**sums, "total": tuple(map(sum, zip(*sums.values())))}


def as_pairs(channels: Channels) -> dict[str, tuple[int, int]]:
    return {part: (count.weights, count.macs) for part, count in complexity(FastDepth(channels)).items()}


@pytest.mark.parametrize(
    ("channels", "total", "encoder"),
    [
        (UNPRUNED, (3933088, 736658944), (3185088, 567716352)),
        (PRUNED, (1343664, 366393384), (1123112, 260545544)),
    ],
)
def test_the_papers_channel_lists_have_the_papers_numbers(channels, total, encoder):
    parts = as_pairs(channels)
    assert parts["total"] == total
    assert parts["encoder"] == encoder


@pytest.mark.parametrize("channels", [UNPRUNED, PRUNED, ODD])
def test_each_part_is_what_a_count_by_hand_gives(channels):
    assert as_pairs(channels) == counted(channels)


def test_folding_batch_norm_away_changes_nothing():
    folded = complexity(FastDepth(ODD, batch_norm=False))["total"]
    assert (folded.weights, folded.macs) == counted(ODD)["total"]


def test_half_the_input_has_a_quarter_of_the_macs():
    whole, half = (complexity(FastDepth(ODD), size)["total"] for size in (224, 112 - 16))
    assert half.weights == whole.weights
    assert half.macs == whole.macs * 96 * 96 // (224 * 224)
