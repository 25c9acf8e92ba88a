"""Channel lists: the paper's two, and what no network can have."""

from __future__ import annotations

import json

import pytest

from fastdepth_ros.nn.channels import ENCODER_STRIDES, NAMED, PRUNED, SKIPS, UNPRUNED, Channels

ENCODER, DECODER = list(UNPRUNED.encoder), list(UNPRUNED.decoder)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["unpruned", "pruned"])
def test_the_named_lists_are_the_papers(shared, name):
    paper = json.loads((shared / "paper" / "channels.json").read_text())[name]
    assert NAMED[name].as_mapping() == {"encoder": paper["encoder"], "decoder": paper["decoder"]}


def test_strides_and_skips_are_the_papers():
    assert [layer for layer, stride in enumerate(ENCODER_STRIDES) if stride == 2] == [0, 2, 4, 6, 12]
    assert len(ENCODER_STRIDES) == 14
    assert SKIPS == {5: 2, 3: 3, 1: 4}


@pytest.mark.parametrize("channels", [UNPRUNED, PRUNED])
def test_a_list_survives_json(channels):
    assert Channels.from_mapping(json.loads(json.dumps(channels.as_mapping()))) == channels


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_a_missing_part_is_named(part):
    mapping = UNPRUNED.as_mapping()
    del mapping[part]
    with pytest.raises(ValueError, match=part):
        Channels.from_mapping(mapping)


@pytest.mark.parametrize(
    ("encoder", "decoder", "words"),
    [
        (ENCODER[:13], DECODER, "encoder has 13.*14"),
        (ENCODER, [*DECODER, 16], "decoder has 6.*5"),
        ([0, *ENCODER[1:]], DECODER, "encoder.*at least 1"),
        ([-3, *ENCODER[1:]], DECODER, "encoder.*at least 1"),
        ([32.0, *ENCODER[1:]], DECODER, "encoder.*whole"),
        (["32", *ENCODER[1:]], DECODER, "encoder.*whole"),
        (ENCODER, [*DECODER[:4], 0], "decoder.*at least 1"),
        ([*ENCODER[:5], 255, *ENCODER[6:]], DECODER, r"encoder layer 5 \(255.*decoder layer 2 \(256"),
        ([*ENCODER[:3], 100, *ENCODER[4:]], DECODER, r"encoder layer 3 \(100.*decoder layer 3 \(128"),
        ([*ENCODER[:1], 63, *ENCODER[2:]], DECODER, r"encoder layer 1 \(63.*decoder layer 4 \(64"),
    ],
)
def test_a_list_that_makes_no_network_is_refused_with_the_layer(encoder, decoder, words):
    with pytest.raises(ValueError, match=words):
        Channels(tuple(encoder), tuple(decoder))


def test_layers_without_a_skip_are_free():
    encoder = [7 if layer not in SKIPS else count for layer, count in enumerate(ENCODER)]
    decoder = [9 if layer not in SKIPS.values() else count for layer, count in enumerate(DECODER, start=1)]
    assert Channels(tuple(encoder), tuple(decoder)).as_mapping() == {"encoder": encoder, "decoder": decoder}
