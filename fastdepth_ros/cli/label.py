"""`fastdepth label`: depth for photographs that have none, as a data set to train on."""

from __future__ import annotations

import argparse
from pathlib import Path

from fastdepth_ros.data.pairs import DatasetError
from fastdepth_ros.data.photographs import Photographs
from fastdepth_ros.nn.checkpoints import CheckpointError, load_checkpoint
from fastdepth_ros.train.labels import label_photographs

ERRORS = (CheckpointError, DatasetError, ValueError)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--photos", required=True, type=Path, metavar="NPZ", help="encoded images, in the arrays data and off"
    )
    parser.add_argument("--teacher", required=True, type=Path, metavar="CKPT", help="network that predicts the depth")
    parser.add_argument("--side", type=int, default=160, help="side of that network's input in pixels")
    parser.add_argument("--out", required=True, type=Path, help="folder to write the data set to, or to resume")


def run(parsed: argparse.Namespace) -> None:
    if parsed.side < 32 or parsed.side % 32:
        raise ValueError(f"--side is {parsed.side}, needs a multiple of 32")
    photographs, (network, _) = Photographs(parsed.photos), load_checkpoint(parsed.teacher)
    labelled = label_photographs(photographs, network, parsed.out, side_px=parsed.side)
    print(f"{parsed.out}: {len(photographs)} photographs, {labelled} of them labelled now")
