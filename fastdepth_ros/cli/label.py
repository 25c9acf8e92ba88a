"""`fastdepth label`: photographs with the depth that teachers predict, as a data set to train on."""

from __future__ import annotations

import argparse
from pathlib import Path

from fastdepth_ros.cli.options import add_data_folder_option
from fastdepth_ros.data.datasets import TRAINED, VIEWS
from fastdepth_ros.errors import FastDepthError

DEFAULT_SIDE_PX = 160


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--photos", required=True, type=Path, metavar="NPZ", help="encoded images, in the arrays data and off"
    )
    parser.add_argument(
        "--classes", nargs="+", default=[], metavar="NAME",
        help="classes of photographs to label, of an archive with the arrays label and classes (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--teacher", required=True, action="append", type=Path, metavar="CKPT",
        help="network that predicts the depth; several are averaged",
    )  # fmt: skip
    parser.add_argument(
        "--side", action="append", type=int, metavar="PX",
        help=f"side of the network's input in pixels ({DEFAULT_SIDE_PX}); repeated, one for each teacher",
    )  # fmt: skip
    parser.add_argument(
        "--view", choices=VIEWS, default=TRAINED, help="4:3 part of a photograph, or whole squeezed photographs"
    )
    parser.add_argument("--flip", action="store_true", help="average with the depth of the mirrored photograph")
    add_data_folder_option(parser)


def run(parsed: argparse.Namespace) -> None:
    from fastdepth_ros.data.photographs import Photographs
    from fastdepth_ros.nn.checkpoints import load_checkpoint
    from fastdepth_ros.train.labels import Teacher, label_photographs

    sides = parsed.side or [DEFAULT_SIDE_PX]
    for side in sides:
        if side < 32 or side % 32:
            raise FastDepthError(f"--side is {side}, needs a multiple of 32")
    if len(sides) not in (1, len(parsed.teacher)):
        raise FastDepthError(
            f"{len(sides)} of --side do not go with {len(parsed.teacher)} of --teacher: give one, or as many"
        )
    if len(sides) == 1:
        sides = sides * len(parsed.teacher)
    photographs = Photographs(parsed.photos, parsed.classes)
    teachers = [Teacher(load_checkpoint(path)[0], side) for path, side in zip(parsed.teacher, sides)]
    labeled = label_photographs(photographs, teachers, parsed.out, view=parsed.view, flip=parsed.flip)
    print(f"{parsed.out}: {len(photographs)} photographs, {labeled} of them labeled now")
