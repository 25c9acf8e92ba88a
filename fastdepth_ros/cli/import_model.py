"""Import of a depth network of another project by `fastdepth models import`: .onnx, or .tflite as it is."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdepth_ros.cli.options import number
from fastdepth_ros.depth.geometry import DEPTH, FITS, INTERPOLATIONS, KINDS, VIEWS
from fastdepth_ros.errors import FastDepthError

if TYPE_CHECKING:
    from fastdepth_ros.deploy.import_options import ImportOptions

NORMALIZATIONS = {  # mean and std of pixels 0 to 255
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "unit": ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
    "symmetric": ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}


def size(text: str) -> tuple[int, int]:
    """Height and width of HEIGHTxWIDTH."""
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if not found:
        raise FastDepthError(f"a size is HEIGHTxWIDTH, such as 252x336, not {text!r}")
    return int(found[1]), int(found[2])


def focal(text: str) -> dict[str, Any]:
    """The manifest's focal rule of trained:FX,FY, canonical:F, input or none."""
    name, _, numbers = text.partition(":")
    keys = {"trained": ("fx", "fy"), "canonical": ("constant",), "input": (), "none": ()}.get(name)
    try:
        values = [float(number) for number in numbers.split(",")] if numbers else []
    except ValueError:
        keys = None
    if keys is None or len(keys) != len(values):
        raise FastDepthError(f"a focal rule is trained:FX,FY, canonical:F, input or none, not {text!r}")
    return {"rule": name, **dict(zip(keys, values))}


def add_import_options(parser: argparse.ArgumentParser) -> None:
    text = "keep a .tflite file as it is and run it in LiteRT, in place of the weights of a FastDepth read from it"
    parser.add_argument("--as-is", action="store_true", help=text)
    of_onnx = parser.add_argument_group("options for .onnx files, and for .tflite files with --as-is")
    of_onnx.add_argument("--license", "--licence", default="", help="license of the weights; required")
    of_onnx.add_argument("--source", default="", help="address that the file comes from (default: its name)")
    of_onnx.add_argument("--size", type=size, metavar="HxW", help="height and width of the input, where they are open")
    of_onnx.add_argument(
        "--layout", choices=("nchw", "nhwc"), default="", help="order of the input's axes, where it is open"
    )
    of_onnx.add_argument(
        "--normalize", choices=NORMALIZATIONS,
        help="normalization of the input: ImageNet's mean and std, 0 to 1, -1 to 1, or 0 to 255",
    )  # fmt: skip
    for name in ("mean", "std"):
        text = f"{name} of the three channels that the input is normalized by, for pixels 0 to 255"
        of_onnx.add_argument(f"--{name}", type=number, nargs=3, metavar="N", help=text)
    of_onnx.add_argument("--bgr", action="store_true", help="channel order of the network: blue first")
    for name, text in (
        ("depth", "name of the output that is the depth"),
        ("confidence", "name of the output that is the confidence"),
        ("sky", "name of the output that is over 0.5 where the sky is; depth there is +inf"),
        ("valid", "name of the output that is under 0.5 where depth is invalid; depth there is NaN"),
    ):
        of_onnx.add_argument(f"--{name}-output", default="", metavar="NAME", help=text)
    of_onnx.add_argument(
        "--kind", choices=[kind.replace(" ", "-") for kind in KINDS], default="depth", help="kind of output"
    )
    text = "scale and shift of an inverse depth d: depth is 1 / (SCALE d + SHIFT)"
    of_onnx.add_argument(
        "--scale-shift", type=number, nargs=2, default=(1.0, 0.0), metavar=("SCALE", "SHIFT"), help=text
    )
    of_onnx.add_argument("--relative", action="store_true", help="relative depth, not in meters until calibrate-scale")
    of_onnx.add_argument(
        "--focal", type=focal, metavar="RULE",
        help="focal rule: trained:FX,FY (training camera at the input, pixels), canonical:F, input, none",
    )  # fmt: skip
    of_onnx.add_argument(
        "--fit", choices=FITS, default="crop", help="way in which the view gets the shape of the input"
    )
    of_onnx.add_argument("--view", choices=VIEWS, default="frame", help="view that the network was trained on")
    text = "interpolation of the one resize"
    of_onnx.add_argument("--interpolation", choices=INTERPOLATIONS, default="linear", help=text)
    text = "red, green, blue of the border of --fit pad (default: the mean)"
    of_onnx.add_argument("--padding", type=int, nargs=3, metavar="N", help=text)
    text = "nearest and furthest depth that is believed, meters"
    of_onnx.add_argument("--valid-range", type=number, nargs=2, metavar=("NEAR", "FAR"), help=text)
    of_onnx.add_argument("--images", type=Path, metavar="DIR", help="folder of real images to judge the meters on")
    of_onnx.add_argument(
        "--yes", action="store_true", help="write the artifact; without it, it is only shown what is understood"
    )


def import_onnx(parsed: argparse.Namespace) -> int:
    """Show what a file says, and write the artifact if that was confirmed.

    Raises:
        FastDepthError: as `plan_import` and `write`, or an option is missing.
    """
    from fastdepth_ros.deploy.import_onnx import plan_import, write

    plan = plan_import(parsed.file, _options(parsed))
    sheet = [(name, f"{value}  [{who}]") for name, value, who in plan.sheet]
    if not parsed.yes:
        return _unwritten(sheet, parsed)
    given = plan.network.input
    frames = []
    if parsed.images:
        from fastdepth_ros.view.frame_sample import sample_folder

        found = sample_folder(parsed.images, 8)
        frames = [given.pixels(frame, given.place("trained", frame.pixels.shape[:2])) for frame in found]
    warnings = write(plan, parsed.out, frames)
    _print(sheet)
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print(f"{parsed.out}: written; check it by: fastdepth models verify {parsed.out}")
    return 0


def import_as_is(parsed: argparse.Namespace) -> int:
    """Show what a .tflite file and the options say, and write the artifact if that was confirmed.

    Raises:
        FastDepthError: as `read_tflite` and `import_tflite`, or an option is missing or contradicts the file.
    """
    from fastdepth_ros.deploy.foreign_file import import_tflite, read_tflite

    options = _options(parsed)
    image, depth = read_tflite(parsed.file)
    fields, facts = options.fields(parsed.file, image.shape[1:3], depth.shape[1:3]), _facts(options)
    if options.mean is None and str(image.dtype) == "float32":
        raise FastDepthError(
            f"{parsed.file} does not say how its input is normalized",
            "say it by --normalize imagenet, or --mean and --std",
        )
    normalization = f"(pixel - {facts['mean']}) / {facts['std']}" if "mean" in facts else "bytes as they are"
    sheet = [
        ("input", f"{image.dtype} {image.shape}, {'bgr' if options.bgr else 'rgb'}, {normalization}"),
        ("depth", f"{depth.dtype} {depth.shape}, {options.kind}{'' if options.metric else ', relative'}"),
        ("focal rule", ", ".join(map(str, fields["focal"].values()))),
        ("view", f"{options.view}, {options.fit}, {options.interpolation}"),
        ("license", options.licence),
    ]
    if not parsed.yes:
        return _unwritten(sheet, parsed)
    _print(sheet)
    precision = import_tflite(parsed.file, parsed.out, fields, facts)
    print(f"{parsed.out}: written, {precision} for backend litert; check it by: fastdepth models verify {parsed.out}")
    return 0


def _unwritten(sheet: Iterable[tuple[str, str]], parsed: argparse.Namespace) -> int:
    _print(sheet)
    print(f"nothing is written yet: if this is right, add --yes to write {parsed.out}")
    return 1


def _print(sheet: Iterable[tuple[str, str]]) -> None:
    for name, value in sheet:
        print(f"{name:<15}{value}")


def _facts(options: ImportOptions) -> dict[str, Any]:
    """Facts of a .tflite file for the manifest: normalization, order of channels, kind of its output."""
    facts: dict[str, Any] = {}
    if options.mean is not None and options.std is not None:
        facts = {"mean": list(options.mean), "std": list(options.std)}
    if options.bgr:
        facts["channels"] = "bgr"
    return facts if options.kind == DEPTH else {**facts, "reciprocal": True}


def _options(parsed: argparse.Namespace) -> ImportOptions:
    """Raises FastDepthError for no license, or two ways of saying the normalization."""
    from fastdepth_ros.deploy.import_options import ImportOptions

    if not parsed.license:
        raise FastDepthError("an artifact names the license of its weights", "say it by --license")
    if (parsed.normalize and (parsed.mean or parsed.std)) or (parsed.mean is None) != (parsed.std is None):
        raise FastDepthError("--normalize and --mean with --std say the same; give one of them")
    mean, std = NORMALIZATIONS[parsed.normalize] if parsed.normalize else (parsed.mean, parsed.std)
    return ImportOptions(
        licence=parsed.license, size=parsed.size, layout=parsed.layout, mean=mean, std=std, bgr=parsed.bgr,
        depth_output=parsed.depth_output, confidence_output=parsed.confidence_output, sky_output=parsed.sky_output,
        valid_output=parsed.valid_output, kind=parsed.kind.replace("-", " "), scale=parsed.scale_shift[0],
        shift=parsed.scale_shift[1], metric=not parsed.relative, focal=parsed.focal, view=parsed.view, fit=parsed.fit,
        interpolation=parsed.interpolation, padding=parsed.padding and tuple(parsed.padding),
        valid=parsed.valid_range and tuple(parsed.valid_range), source=parsed.source,
    )  # fmt: skip
