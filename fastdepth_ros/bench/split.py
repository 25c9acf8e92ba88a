"""An ONNX network cut in two at the encoder's end, so that each half can be timed (the paper's Fig. 3)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import onnx
from onnx import ModelProto, NodeProto

from fastdepth_ros.errors import FastDepthError

DECODER = ("decoder", "joins", "head")  # what our networks call it; a node is named after its module


def cut(path: Path, folder: Path, name: str) -> tuple[Path, Path]:
    """Write both halves; the second takes the encoder's last map and those of the skips.

    Args:
        name: what the halves' files are called.

    Raises:
        FastDepthError: no node is named after an encoder or after a decoder.
    """
    model = onnx.load(path)
    before = _encoder(model)
    made_before = {name for node in before for name in node.output}
    after = [node for node in model.graph.node if node.name not in {each.name for each in before}]
    crossing = sorted({name for node in after for name in node.input if name in made_before})
    halves = folder / f"{name}.encoder.onnx", folder / f"{name}.decoder.onnx"
    inputs, outputs = ([entry.name for entry in entries] for entries in (model.graph.input, model.graph.output))
    onnx.utils.extract_model(str(path), str(halves[0]), inputs, crossing)
    onnx.utils.extract_model(str(path), str(halves[1]), crossing, outputs)
    return halves


def _encoder(model: ModelProto) -> list[NodeProto]:
    """The nodes of the encoder and all that they need."""
    nodes = list(model.graph.node)
    wanted = _inputs(node for node in nodes if _module(node).startswith("encoder"))
    if not wanted or not any(_module(node).startswith(DECODER) for node in nodes):
        raise FastDepthError("its nodes are not named after an encoder and a decoder")
    found = []
    for node in reversed(nodes):
        if _module(node).startswith("encoder") or wanted & set(node.output):
            found.append(node)
            wanted |= set(node.input)
    return found[::-1]


def _inputs(nodes: Iterable[NodeProto]) -> set[str]:
    return {name for node in nodes for name in node.input}


def _module(node: NodeProto) -> str:
    """The first part of a node's name: "encoder" of "/encoder/encoder.0/conv/Conv", also under "/network"."""
    parts = [part for part in node.name.split("/") if part and part != "network"]
    return parts[0] if parts else ""
