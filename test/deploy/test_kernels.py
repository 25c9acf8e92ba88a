"""Every kernel with every kind of tile computes the convolution; on a GPU's threads too, run one after another."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch.nn import functional

pytest.importorskip("tvm", reason="tvm is not installed")

import tvm
from tvm import tirx

from fastdepth_ros.deploy.kernels import blocks_of, out_lanes, packed_bias, packed_weight
from fastdepth_ros.deploy.module import kernel_function, kernel_name
from fastdepth_ros.deploy.schedules import schedule, tiles
from fastdepth_ros.deploy.steps import IMAGE, Step, Term

RNG = np.random.default_rng(3)
ONE, TWICE, BOTH = (Term("a"),), (Term("a", 2),), (Term("a", 2), Term("b"))


def step(outputs: int, inputs: int, kernel: int, *, terms=ONE, stride=1, size=8, depthwise=False, high=np.inf) -> Step:
    shape = (outputs, 1 if depthwise else inputs, kernel, kernel)
    return Step(
        "s", terms, RNG.normal(size=shape).astype(np.float32), RNG.normal(size=outputs).astype(np.float32),
        stride, kernel // 2, depthwise, size, size // stride, 0.0, high,
    )  # fmt: skip


STEPS = {
    "pointwise": step(20, 18, 1, high=6.0),
    "many blocks": step(13 * 16, 6, 1, size=4),
    "pointwise of a sum": step(5, 7, 1, terms=BOTH),
    "depthwise": step(19, 19, 3, depthwise=True, stride=2),
    "depthwise of an upsampled sum": step(9, 9, 5, depthwise=True, terms=BOTH),
    "standard": step(6, 5, 5, terms=TWICE),
    "stem": step(7, 3, 3, terms=(Term(IMAGE),), stride=2),
    "head": step(1, 10, 1),
}


def packed(x: np.ndarray, lanes: int) -> np.ndarray:
    """(C, H, W) to (blocks, H * W, lanes)."""
    full = np.zeros((blocks_of(len(x), lanes) * lanes, *x.shape[1:]), np.float32)
    full[: len(x)] = x
    return np.ascontiguousarray(full.reshape(-1, lanes, x[0].size).transpose(0, 2, 1))


def maps_of(chosen: Step, lanes: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Inputs of the kernel, and their sum as (C, H, W)."""
    size = chosen.in_size_px
    if chosen.terms[0].source == IMAGE:
        image = RNG.integers(0, 256, (1, size, size, 3), dtype=np.uint8)
        return [image], image[0].transpose(2, 0, 1).astype(np.float32)
    maps = [RNG.normal(size=(chosen.inputs, *[size // term.scale] * 2)).astype(np.float32) for term in chosen.terms]
    whole = sum(x.repeat(term.scale, 1).repeat(term.scale, 2) for x, term in zip(maps, chosen.terms))
    return [packed(x, lanes) for x in maps], whole


def expected(chosen: Step, whole: np.ndarray) -> np.ndarray:
    sums = functional.conv2d(
        torch.from_numpy(whole)[None], torch.from_numpy(chosen.weight), torch.from_numpy(chosen.bias),
        chosen.stride, chosen.pad, groups=chosen.inputs if chosen.depthwise else 1,
    )  # fmt: skip
    return sums.clamp(chosen.low, chosen.high)[0].numpy()


def on_one_thread(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """A GPU's kernel with its threads as loops."""
    text, threads = re.subn(r"T\.thread_binding\((\d+), thread=\"\S+?\"\)", r"T.serial(\1)", function.script())
    assert threads == 3
    return tvm.script.from_source(text)


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize(("lanes", "registers"), [(4, 32), (16, 32), (1, 0)], ids=["neon", "avx512", "gpu"])
def test_a_kernel_computes_its_convolution_in_the_first_and_last_tile(name, lanes, registers):
    chosen = STEPS[name]
    maps, whole = maps_of(chosen, lanes)
    own = out_lanes(chosen, lanes)
    out = np.full((blocks_of(chosen.outputs, own), chosen.out_size_px**2, own), np.nan, np.float32)
    candidates = tiles(chosen, lanes, registers)
    for tile in {candidates[0], candidates[-1]}:
        function = schedule(kernel_function(chosen, lanes), chosen, tile)
        if registers == 0:
            function = on_one_thread(function)
        built = tvm.compile(tvm.IRModule({"main": function}), target=tvm.target.Target({"kind": "llvm"})).jit()
        arguments = [*maps, packed_weight(chosen, lanes), packed_bias(chosen, lanes), out]
        tensors = [tvm.runtime.tensor(array) for array in arguments]
        built["main"](*tensors)
        np.testing.assert_allclose(
            tensors[-1].numpy(), packed(expected(chosen, whole), own), atol=1e-3, err_msg=str(tile)
        )


def test_a_kernels_name_says_its_shape_and_not_its_weights():
    assert kernel_name(STEPS["head"]) == kernel_name(step(1, 10, 1))
    assert len({kernel_name(chosen) for chosen in STEPS.values()}) == len(STEPS)


@pytest.mark.parametrize("name", STEPS)
def test_tiles_are_different_and_divide_the_map(name):
    for lanes, registers in ((4, 32), (16, 32), (1, 0)):
        candidates = tiles(STEPS[name], lanes, registers)
        assert candidates
        assert len(set(candidates)) == len(candidates)
        own = out_lanes(STEPS[name], lanes)
        assert all(blocks_of(STEPS[name].outputs, own) % tile.blocks == 0 for tile in candidates)
        assert all(STEPS[name].out_size_px ** 2 % tile.pixels == 0 for tile in candidates)
