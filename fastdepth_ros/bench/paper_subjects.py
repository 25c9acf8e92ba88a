"""Subjects that a reader of the paper asks for: halves of networks (Fig. 3), prior work (Table I) and today's peers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fastdepth_ros.artifact.artifact import find_artifacts
from fastdepth_ros.bench.plan import Plan, Request, plan_eager, thread_counts
from fastdepth_ros.bench.subject import Subject, load_onnx
from fastdepth_ros.errors import FastDepthError

FIG3 = {  # the steps of the paper's Fig. 3: encoder, decoder, kernel, skip
    "ResNet-50 + UpProj": ("resnet50", "upproj", "standard", "none"),
    "MobileNet + NNConv5": ("mobilenet", "nnconv5", "standard", "none"),
    "depthwise decoder": ("mobilenet", "nnconv5", "depthwise", "none"),
    "skip-add": ("mobilenet", "nnconv5", "depthwise", "add"),
}
DECODER = ("decoder", "joins", "head")  # what our networks call it; a node is named after its module


def plan_halves(request: Request, folder: Path, *, steps: bool) -> Plan:
    """Encoder, decoder and whole of each model, and of the paper's steps, in ONNX Runtime with all threads.

    Args:
        folder: folder that the halves are written to.
        steps: also those of Fig. 3, with random weights; needs torch.
    """
    plan = Plan()
    if find_spec("onnx") is None:
        plan.notes.append("no encoder and decoder apart: needs onnx: pip install onnx")
        return plan
    threads = max(request.threads or thread_counts())
    for name, path in _networks(request, folder, plan, steps):
        try:
            parts = dict(zip(("encoder", "decoder"), cut(path, folder, name)))
        except FastDepthError as error:
            plan.notes.append(f"{name} is not cut in two: {error}")
            continue
        for part, file in {**parts, "whole": path}.items():
            facts = {"group": "half", "model": name, "part": part}
            plan.subjects.append(Subject(f"half/{name}/{part}", partial(load_onnx, file, threads), threads, facts))
    return plan


def plan_peers(request: Request, folder: Path) -> Plan:
    """Subjects of others: torch eager as in the authors' scripts, and networks of other papers with random weights.

    Args:
        folder: folder that the networks are written to.
    """
    import torch

    from fastdepth_ros.nn.complexity import complexity
    from fastdepth_ros.nn.deployed import traced_onnx
    from fastdepth_ros.nn.paper.peers import PEERS
    from fastdepth_ros.nn.paper.prior_work import PRIOR

    plan = plan_eager(request)
    threads = max(request.threads or thread_counts())
    for registry, group in ((PEERS, "peer"), (PRIOR, "prior")):
        for name in registry:
            network, file = registry[name](), folder / f"{name}.onnx"
            size = network.input_px if group == "prior" else (network.size_px,) * 2
            file.write_bytes(traced_onnx(network, torch.rand(1, 3, *size)))
            macs = complexity(network, size)["total"].macs
            facts = {"group": group, "model": name, "size_px": list(size), "macs": macs}
            plan.subjects.append(Subject(f"{group}/{name}", partial(load_onnx, file, threads), threads, facts))
    return plan


def cut(path: Path, folder: Path, name: str) -> tuple[Path, Path]:
    """Write both halves; the second takes the encoder's last map and those of the skips.

    Args:
        name: common part of the halves' file names.

    Raises:
        FastDepthError: no node is named after an encoder or after a decoder.
    """
    import onnx

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


def _encoder(model: Any) -> list[Any]:
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


def _inputs(nodes: Iterable[Any]) -> set[str]:
    return {name for node in nodes for name in node.input}


def _module(node: Any) -> str:
    """The first part of a node's name: "encoder" of "/encoder/encoder.0/conv/Conv", also under "/network"."""
    parts = [part for part in node.name.split("/") if part and part != "network"]
    return parts[0] if parts else ""


def _networks(request: Request, folder: Path, plan: Plan, steps: bool) -> Iterator[tuple[str, Path]]:
    if steps and find_spec("torch") is not None:
        import torch

        from fastdepth_ros.deploy.export import write_onnx
        from fastdepth_ros.nn.network import DepthNetwork, initialize

        for name, (encoder, decoder, kernel, skip) in FIG3.items():
            file = folder / f"{name}.onnx"
            with torch.no_grad():
                network = DepthNetwork.of(encoder, decoder, kernel=kernel, skip=skip).eval()
                initialize(network)
                write_onnx(network, file)
            yield name, file
    elif steps:
        plan.notes.append("no steps of Fig. 3: they need torch")
    for artifact in find_artifacts(request.models):
        if "onnx" in artifact.manifest["files"]:
            yield artifact.name, artifact.model_file("onnx").path.resolve()
