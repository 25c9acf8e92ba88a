"""Each step as a TVM tensor expression over maps whose channels lie in blocks of a vector's width.

A map of C channels is float32 (ceil(C / lanes), height * width, lanes): what one vector instruction takes is adjacent.
What lies beyond C is zero, and stays zero.
"""

from __future__ import annotations

import numpy as np
from tvm import te, tirx

from fastdepth_ros.deploy.steps import IMAGE, Step


def blocks_of(channels: int, lanes: int) -> int:
    """Blocks of a map; one more than its channels need where no register tile would divide them."""
    blocks = -(-channels // lanes)
    return blocks + (blocks > 10 and all(blocks % tile for tile in (2, 3, 4)))


def out_lanes(step: Step, lanes: int) -> int:
    """Lanes of a step's own map: a single channel, the depth, is not padded to a vector."""
    return 1 if step.outputs == 1 else lanes


def packed_weight(step: Step, lanes: int) -> np.ndarray:
    """Depthwise: (blocks, K * K, lanes). Otherwise: (blocks, K * K * inputs, lanes), inputs last among the middle."""
    own = out_lanes(step, lanes)
    blocks = blocks_of(step.outputs, own)
    weight = np.zeros((blocks * own, *step.weight.shape[1:]), np.float32)
    weight[: step.outputs] = step.weight
    middle = weight.transpose(2, 3, 1, 0).reshape(-1, blocks, own)  # (K * K * inputs, blocks, own)
    return np.ascontiguousarray(middle.transpose(1, 0, 2))


def packed_bias(step: Step, lanes: int) -> np.ndarray:
    """(blocks, lanes)"""
    own = out_lanes(step, lanes)
    bias = np.zeros(blocks_of(step.outputs, own) * own, np.float32)
    bias[: step.outputs] = step.bias
    return bias.reshape(-1, own)


def convolution(step: Step, lanes: int, terms: list[te.Tensor], weight: te.Tensor, bias: te.Tensor) -> te.Tensor:
    """The step's map: (blocks, out_size ** 2, lanes)."""
    width, own = step.out_size_px, out_lanes(step, lanes)
    shape = (blocks_of(step.outputs, own), width**2, own)
    source = _source(step, lanes, terms)
    taps = step.kernel**2

    def pixel(p: tirx.PrimExpr, tap: tirx.PrimExpr) -> tuple[tirx.PrimExpr, tirx.PrimExpr]:
        return p // width * step.stride + tap // step.kernel, p % width * step.stride + tap % step.kernel

    if step.depthwise:
        tap = te.reduce_axis((0, taps), "tap")
        sums = te.compute(
            shape,
            lambda c, p, lane: te.sum(source(c, *pixel(p, tap), lane) * weight[c, tap, lane], axis=tap),
            name="sums",
        )
    else:
        read = step.inputs if step.terms[0].source == IMAGE else lanes  # the image is one block of three
        k = te.reduce_axis((0, taps * step.inputs), "k")
        sums = te.compute(
            shape,
            lambda c, p, lane: te.sum(
                source(k % step.inputs // read, *pixel(p, k // step.inputs), k % step.inputs % read)
                * weight[c, k, lane],
                axis=k,
            ),
            name="sums",
        )
    return te.compute(shape, lambda c, p, lane: _activated(step, sums[c, p, lane] + bias[c, lane]), name="out")


def _activated(step: Step, x: tirx.PrimExpr) -> tirx.PrimExpr:
    if np.isfinite(step.low):
        x = tirx.max(x, tirx.const(step.low, "float32"))
    if np.isfinite(step.high):
        x = tirx.min(x, tirx.const(step.high, "float32"))
    return x


def _source(step: Step, lanes: int, terms: list[te.Tensor]):
    """A function (block, row, column, lane) -> value of what the step convolves, borders included."""
    size, pad = step.in_size_px, step.pad
    if pad == 0 and len(terms) == 1 and step.terms[0].scale == 1 and step.terms[0].source != IMAGE:
        return lambda c, y, x, lane: terms[0][c, y * size + x, lane]

    def value(c, y, x, lane):
        if step.terms[0].source == IMAGE:
            return terms[0][0, y, x, lane].astype("float32")
        parts = [
            tensor[c, y // term.scale * (size // term.scale) + x // term.scale, lane]
            for tensor, term in zip(terms, step.terms)
        ]
        return sum(parts[1:], parts[0])

    def padded(c, y, x, lane):
        inside = tirx.all(y >= pad, y < size + pad, x >= pad, x < size + pad)
        return tirx.if_then_else(inside, value(c, y - pad, x - pad, lane), tirx.const(0, "float32"))

    side = size + 2 * pad
    if step.terms[0].source == IMAGE:
        shape = (1, side, side, step.inputs)
    else:
        shape = (blocks_of(step.inputs, lanes), side, side, lanes)
    return te.compute(shape, padded, name="padded")


def repeated(size_px: int, scale: int, depth: te.Tensor) -> te.Tensor:
    """(1, n ** 2, 1) to the network's output (1, 1, n * scale, n * scale)."""
    small = size_px // scale
    return te.compute(
        (1, 1, size_px, size_px), lambda n, c, y, x: depth[0, y // scale * small + x // scale, 0], name="out"
    )
