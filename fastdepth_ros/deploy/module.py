"""The network as a Relax module: one call per kernel, every kernel already scheduled, the weights inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import tvm
from tvm import relax, te, tirx

from fastdepth_ros.deploy.kernels import blocks_of, convolution, out_lanes, packed_bias, packed_weight, repeated
from fastdepth_ros.deploy.schedules import Tile, schedule, schedule_copy, tiles
from fastdepth_ros.deploy.steps import IMAGE, Plan, Step

MAIN = "main"


@dataclass(frozen=True)
class Hardware:
    """Properties of a processor that kernels depend on.

    Args:
        lanes: floats in one vector register; 1 on a GPU, whose threads are the lanes.
        registers: vector registers; 0 on a GPU.
    """

    lanes: int
    registers: int


def kernel_name(step: Step) -> str:
    """Says everything that makes two steps one kernel, as an identifier: weights do not."""
    read = "_".join("image" if term.source == IMAGE else f"x{term.scale}" for term in step.terms)
    ends = "_".join(f"{end:g}".replace("-", "m").replace(".", "d") for end in (step.low, step.high))
    shape = f"{step.kernel}s{step.stride}p{step.pad}_{step.inputs}to{step.outputs}_{step.in_size_px}px"
    return f"{step.kind}{shape}_{read}_{ends}"


def kernels(plan: Plan) -> dict[str, Step]:
    """The different kernels of a network by name, each with the first step that needs it."""
    found: dict[str, Step] = {}
    for step in plan.steps:
        found.setdefault(kernel_name(step), step)
    return found


def kernel_function(step: Step, lanes: int) -> tirx.PrimFunc:
    """A step's kernel, not scheduled: its maps, weight and bias in, its map out."""
    maps, (weight, bias) = _maps(step, lanes), _weights(step, lanes)
    return te.create_prim_func([*maps, weight, bias, convolution(step, lanes, maps, weight, bias)])


def kernel_arguments(step: Step, lanes: int) -> list[tuple[tuple[int, ...], str]]:
    """Shape and dtype of everything that the kernel takes, its output last."""
    taken = [*_maps(step, lanes), *_weights(step, lanes)]
    out = (blocks_of(step.outputs, out_lanes(step, lanes)), step.out_size_px**2, out_lanes(step, lanes))
    return [*((tuple(int(side) for side in tensor.shape), str(tensor.dtype)) for tensor in taken), (out, "float32")]


def network_module(plan: Plan, hardware: Hardware, chosen: Mapping[str, Tile]) -> tvm.IRModule:
    """The whole network.

    Args:
        chosen: tiles by kernel name; a kernel that is not in it gets the best guess.
    """
    builder = relax.BlockBuilder()
    size_px = plan.size_px
    image = relax.Var(IMAGE, relax.TensorType((1, size_px, size_px, 3), "uint8"))
    functions: dict[str, relax.GlobalVar] = {}
    with builder.function(MAIN, [image]):
        with builder.dataflow():
            maps = {IMAGE: image}
            for step in plan.steps:
                name = kernel_name(step)
                if name not in functions:
                    tile = chosen.get(name) or tiles(step, hardware.lanes, hardware.registers)[0]
                    scheduled = schedule(kernel_function(step, hardware.lanes), step, tile)
                    functions[name] = builder.add_func(_finished(scheduled), name)
                arguments = [maps[term.source] for term in step.terms]
                arguments += [
                    relax.const(packed_weight(step, hardware.lanes)),
                    relax.const(packed_bias(step, hardware.lanes)),
                ]
                shape = kernel_arguments(step, hardware.lanes)[-1][0]
                call = relax.call_tir(functions[name], arguments, relax.TensorType(shape, "float32"))
                maps[step.name] = builder.emit(call)
            small = te.placeholder((1, (size_px // plan.depth.scale) ** 2, 1), name="depth")
            copy = te.create_prim_func([small, repeated(size_px, plan.depth.scale, small)])
            copy_var = builder.add_func(_finished(schedule_copy(copy, on_gpu=hardware.registers == 0)), "repeat")
            out = relax.TensorType((1, 1, size_px, size_px), "float32")
            depth = builder.emit_output(relax.call_tir(copy_var, [maps[plan.depth.source]], out))
        builder.emit_func_output(depth)
    return builder.finalize()


def _finished(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """Its name is the module's to give, its schedule nobody's to change."""
    return function.without_attr("global_symbol").with_attr("tirx.is_scheduled", True)


def _maps(step: Step, lanes: int) -> list[te.Tensor]:
    side = step.in_size_px
    if step.terms[0].source == IMAGE:
        return [te.placeholder((1, side, side, step.inputs), "uint8", name=IMAGE)]
    shape = (blocks_of(step.inputs, lanes), lanes)
    return [
        te.placeholder((shape[0], (side // term.scale) ** 2, shape[1]), name=f"map{number}")
        for number, term in enumerate(step.terms)
    ]


def _weights(step: Step, lanes: int) -> list[te.Tensor]:
    return [
        te.placeholder(packed_weight(step, lanes).shape, name="weight"),
        te.placeholder(packed_bias(step, lanes).shape, name="bias"),
    ]
