"""Proposals of NetAdapt: for each group of tied layers, the network with just enough of its filters removed."""

from __future__ import annotations

from fastdepth_ros.nn.channels import PARTS, Channels, tied
from fastdepth_ros.prune.resources import Resource

MULTIPLE = 8  # of the channel counts: what vector units take at once


def group_names() -> list[str]:
    """One name a group, that of its first layer: the skips tie three pairs of the nineteen layers."""
    names = (f"{part}.{number}" for part, count in zip(PARTS, (14, 5)) for number in range(count))
    return [name for name in names if name == _name(tied(*_layer(name))[0])]


def with_count(channels: Channels, group: str, count: int) -> Channels:
    """The channels with another count in all layers of a group.

    >>> from fastdepth_ros.nn.channels import UNPRUNED
    >>> fewer = with_count(UNPRUNED, "encoder.5", 128)
    >>> fewer.encoder[5], fewer.decoder[1]
    (128, 128)
    """
    counts = channels.as_mapping()
    for part, number in tied(*_layer(group)):
        counts[part][number] = count
    return Channels.from_mapping(counts)


def count_of(channels: Channels, group: str) -> int:
    part, number = _layer(group)
    return channels.as_mapping()[part][number]


def proposals(channels: Channels, resource: Resource, target: float, multiple: int = MULTIPLE) -> dict[str, Channels]:
    """Channels that meet the target by one group alone, with the most filters possible, for each group.

    A group that cannot meet it is left out.

    >>> from fastdepth_ros.nn.channels import UNPRUNED
    >>> from fastdepth_ros.prune.resources import resource
    >>> found = proposals(UNPRUNED, resource("weights"), 3_900_000)
    >>> found["encoder.13"].encoder[13], "encoder.0" in found
    (1000, False)
    """
    found = {}
    for group in group_names():
        count = (count_of(channels, group) - 1) // multiple * multiple
        while count >= multiple:
            proposal = with_count(channels, group, count)
            if resource.cost(proposal) <= target:
                found[group] = proposal
                break
            count -= multiple
    return found


def _layer(group: str) -> tuple[str, int]:
    part, _, number = group.partition(".")
    return part, int(number)


def _name(layer: tuple[str, int]) -> str:
    return f"{layer[0]}.{layer[1]}"
