"""`fastdepth image`: depth for image files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from fastdepth_ros.artifact.lfs_pointer import POINTER_WORDS, is_pointer
from fastdepth_ros.cli.depth_options import (
    add_bits_option,
    add_depth_options,
    add_focal_option,
    camera_matrix,
    estimator_options,
)
from fastdepth_ros.cli.options import (
    add_force_option,
    add_model_options,
    add_output_size_option,
    load_chosen_model,
    require_new,
)
from fastdepth_ros.depth.geometry import FIELDS_OF_VIEW
from fastdepth_ros.errors import FastDepthError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser, auto=True)
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="jpg, png, bmp, webp, ppm, pgm or npy (RGB)"
    )
    parser.add_argument("--out", type=Path, required=True, help="output: FILE.npy, FILE.png, or a folder for both")
    parser.add_argument(
        "--field-of-view", choices=("auto", *FIELDS_OF_VIEW), default="auto",
        help="part of the image that the network sees; auto: trained, but full for images of the input size",
    )  # fmt: skip
    add_output_size_option(parser)
    add_depth_options(parser)
    add_bits_option(parser)
    add_focal_option(parser)
    add_force_option(parser)


def run(parsed: argparse.Namespace) -> None:
    from fastdepth_ros.depth.frame import NO_PICTURE
    from fastdepth_ros.pictures.image_files import read_frame, write_depth

    for file in parsed.files:
        if file.is_dir():
            raise FastDepthError(f"{file} is a folder; give the images in it: {file}/*.jpg")
        if is_pointer(file):
            raise FastDepthError(f"{file} {POINTER_WORDS}")
    targets = {file: _targets(parsed.out, file, len(parsed.files)) for file in parsed.files}
    written = [path for paths in targets.values() for path in paths]
    if len(set(written)) < len(written):
        raise FastDepthError("two of the files have the same name; write them to two folders")
    require_new(written, parsed)
    artifact, _, backend = load_chosen_model(parsed)
    for file in tqdm(parsed.files, unit="image", disable=len(parsed.files) == 1):
        frame = read_frame(file, parsed.bits)
        field = parsed.field_of_view
        if field == "auto":
            field = "full" if frame.pixels.shape[:2] == artifact.network.input.shape else "trained"
        estimator = artifact.estimator(backend, estimator_options(parsed, field, parsed.output_size))
        if frame.is_blank:
            tqdm.write(f"{file}: an image {NO_PICTURE}", sys.stderr)
        depth = estimator(frame, camera_matrix(frame, parsed.focal_px)).depth
        for path in targets[file]:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_depth(path, depth)


def _targets(out: Path, file: Path, count: int) -> list[Path]:
    if out.suffix in (".npy", ".png"):
        if count > 1:
            raise FastDepthError(f"{count} images do not fit one file {out}; give a folder")
        return [out]
    if out.suffix and not out.is_dir():
        raise FastDepthError(f"{out}: depth is written as .npy or .png, or into a folder")
    return [out / f"{file.stem}.npy", out / f"{file.stem}.png"]
