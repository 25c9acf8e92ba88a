"""Schedules of the kernels: sums in registers, one tile at a time, tiles spread over threads.

A tile is a `Tile`; `tiles` lists those worth trying, best guess first. What was never tuned runs with the guess, which
costs some ten per cent and not fifty times the latency. Records of tuning name tiles, so they outlive TVM's traces.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tvm import s_tir, tirx

from fastdepth_ros.deploy.kernels import blocks_of, out_lanes
from fastdepth_ros.deploy.steps import IMAGE, Step

CACHE_BYTES = 128 * 1024  # of a core's second level that a bordered tile may take
GPU_THREADS = 256  # of a block, at most
GPU_TILES = 40


@dataclass(frozen=True, order=True)
class Tile:
    """Part of a kernel that one thread computes at a time.

    Args:
        blocks, pixels: part of the map whose sums stay in registers.
        unroll: input channels per turn of the loop that sums; 0 for depthwise, whose taps are all unrolled.
        rows: rows of the map per task of the thread pool, where the kernel has borders; else 0.
        pixels_first: whether tasks that follow each other share the weights or the pixels.
        threads: threads of a GPU's block; 0 on a CPU.
    """

    blocks: int
    pixels: int
    unroll: int = 0
    rows: int = 0
    pixels_first: bool = False
    threads: int = 0


def tiles(step: Step, lanes: int, registers: int) -> list[Tile]:
    """Tiles for a step, best guess first; `registers` is 0 for a GPU."""
    if registers == 0:
        return _gpu_tiles(step)
    return _depthwise_tiles(step, lanes) if step.depthwise else _dense_tiles(step, lanes, registers * 3 // 4)


def schedule(function: tirx.PrimFunc, step: Step, tile: Tile) -> tirx.PrimFunc:
    """The kernel of a step with its loops in the order that the tile says."""
    plan = s_tir.Schedule(function)
    _on_gpu(plan, step, tile) if tile.threads else _on_cpu(plan, step, tile)
    return plan.mod["main"]


def schedule_copy(function: tirx.PrimFunc, *, on_gpu: bool) -> tirx.PrimFunc:
    """The kernel that repeats the depth's pixels."""
    plan = s_tir.Schedule(function)
    _, _, row, column = plan.get_loops(plan.get_sblock("out"))
    if on_gpu:
        plan.bind(row, "blockIdx.x")
        plan.bind(column, "threadIdx.x")
    else:
        plan.parallel(row)
    return plan.mod["main"]


def has_borders(step: Step) -> bool:
    """Does the kernel copy what it reads first: with borders, from several maps, or from bytes?"""
    return step.pad > 0 or len(step.terms) > 1 or step.terms[0].scale > 1 or step.terms[0].source == IMAGE


def _dense_tiles(step: Step, lanes: int, budget: int) -> list[Tile]:
    width = step.out_size_px if has_borders(step) else step.out_size_px**2
    found = []
    for blocks in _divisors(blocks_of(step.outputs, out_lanes(step, lanes)), 4):
        for pixels in _divisors(width, 28):
            if blocks * pixels > budget:
                continue
            for unroll in _divisors(step.inputs, 8):
                if unroll in (1, 4) and step.inputs % 2 == 0:
                    continue
                if has_borders(step):
                    found += [Tile(blocks, pixels, unroll, rows) for rows in _divisors(step.out_size_px, 8)]
                else:
                    found += [Tile(blocks, pixels, unroll, 0, first) for first in (False, True)]

    def guess(tile: Tile) -> tuple[float, ...]:
        sums = tile.blocks * tile.pixels
        reuse = sums / (tile.blocks + tile.pixels)  # sums per load
        return sums > budget - 2, -reuse, -tile.unroll, abs(tile.rows - 4), tile.pixels_first

    best = sorted(found, key=guess)
    return best[:1] + [tile for tile in best[1:] if tile.blocks * tile.pixels * 3 >= budget or step.outputs == 1]


def _depthwise_tiles(step: Step, lanes: int) -> list[Tile]:
    width, blocks = step.out_size_px, blocks_of(step.outputs, lanes)

    def guess(tile: Tile) -> tuple[float, ...]:
        height = tile.rows * step.stride + step.kernel
        too_large = height * (width * step.stride + step.kernel) * lanes * 4 > CACHE_BYTES
        too_few = blocks * (width // tile.rows) < 8
        return too_large or too_few, -tile.rows, abs(tile.pixels - 7)

    candidates = [Tile(1, pixels, 0, rows) for pixels in _divisors(width, 14) for rows in _divisors(width, width)]
    return sorted((tile for tile in candidates if tile.pixels > 2 or width < 4), key=guess)


def _gpu_tiles(step: Step) -> list[Tile]:
    width = step.out_size_px**2
    blocks = [1] if step.depthwise else _divisors(blocks_of(step.outputs, 1), 8)
    found = [
        Tile(block, pixels, threads=threads)
        for block in blocks
        for pixels in _divisors(width, 4)
        for threads in _divisors(width // pixels, GPU_THREADS)
    ]

    def guess(tile: Tile) -> tuple[float, ...]:
        return abs(tile.threads - GPU_THREADS // 2), -tile.blocks, abs(tile.pixels - 2)

    return sorted(found, key=guess)[:GPU_TILES]


def _divisors(number: int, limit: int) -> list[int]:
    return [value for value in range(1, min(number, limit) + 1) if number % value == 0]


def _on_cpu(plan: s_tir.Schedule, step: Step, tile: Tile) -> None:
    out, sums = plan.get_sblock("out"), plan.get_sblock("sums")
    block, pixel, lane = plan.get_loops(out)
    block, block_in = plan.split(block, [None, tile.blocks])
    if has_borders(step):
        row, column = plan.split(pixel, [None, step.out_size_px])
        row, row_in = plan.split(row, [None, tile.rows])
        column, pixel_in = plan.split(column, [None, tile.pixels])
        plan.reorder(block, row, row_in, column, block_in, pixel_in, lane)
        task, inner = plan.fuse(block, row), column
    else:
        pixel, pixel_in = plan.split(pixel, [None, tile.pixels])
        outer = (pixel, block) if tile.pixels_first else (block, pixel)
        plan.reorder(*outer, block_in, pixel_in, lane)
        task = inner = plan.fuse(*outer)
    plan.parallel(task)
    _unroll(plan, (block_in, pixel_in), lane)
    _sum_in_registers(plan, step, tile, sums, inner)
    if has_borders(step):
        _copy_with_borders(plan, step, task)


def _sum_in_registers(plan: s_tir.Schedule, step: Step, tile: Tile, sums, inner) -> None:
    plan.set_scope(sums, 0, "local")
    plan.compute_at(sums, inner, preserve_unit_loops=True)
    *_, block, pixel, lane, k = plan.get_loops(sums)
    if step.depthwise:
        plan.reorder(k, block, pixel, lane)
        plan.unroll(k)
        first = k
    else:
        first, k, k_in = plan.split(k, [step.kernel**2, None, tile.unroll])
        plan.reorder(first, k, k_in, block, pixel, lane)
        plan.unroll(k_in)
    _unroll(plan, (block, pixel), lane)
    *_, block, pixel, lane = plan.get_loops(plan.decompose_reduction(sums, first))
    _unroll(plan, (block, pixel), lane)


def _unroll(plan: s_tir.Schedule, loops: Iterable, lane) -> None:
    for loop in loops:
        plan.unroll(loop)
    plan.vectorize(lane)


def _copy_with_borders(plan: s_tir.Schedule, step: Step, task) -> None:
    padded = plan.get_sblock("padded")
    if step.depthwise or step.terms[0].source == IMAGE:  # no other task reads this one's rows
        plan.compute_at(padded, task, preserve_unit_loops=True)
        lane = plan.get_loops(padded)[-1]
    else:
        block, row, _, lane = plan.get_loops(padded)
        plan.parallel(plan.fuse(block, row))
    if step.terms[0].source != IMAGE:
        plan.vectorize(lane)


def _on_gpu(plan: s_tir.Schedule, step: Step, tile: Tile) -> None:
    out, sums = plan.get_sblock("out"), plan.get_sblock("sums")
    if has_borders(step):
        plan.compute_inline(plan.get_sblock("padded"))
    block, pixel, lane = plan.get_loops(out)
    block, block_in = plan.split(block, [None, tile.blocks])
    pixel, thread, pixel_in = plan.split(pixel, [None, tile.threads, tile.pixels])
    plan.reorder(block, pixel, thread, block_in, pixel_in, lane)
    plan.bind(block, "blockIdx.y")
    plan.bind(pixel, "blockIdx.x")
    plan.bind(thread, "threadIdx.x")
    plan.set_scope(sums, 0, "local")
    plan.compute_at(sums, thread, preserve_unit_loops=True)
    *_, block, pixel, lane, k = plan.get_loops(sums)
    plan.reorder(k, block, pixel, lane)
    start = plan.decompose_reduction(sums, k)
    for kernel_part in (out, sums, start):
        *_, block, pixel, lane = plan.get_loops(kernel_part)
        plan.unroll(block)
        plan.unroll(pixel)
