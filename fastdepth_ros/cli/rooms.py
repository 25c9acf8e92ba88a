"""`fastdepth rooms`: synthetic rooms with exact depth, as a data set to train on."""

from __future__ import annotations

import argparse

from fastdepth_ros.cli.options import add_data_folder_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=int, default=1000, help="number of rooms")
    parser.add_argument("--views", type=int, default=4, help="number of views of each room")
    add_data_folder_option(parser)


def run(parsed: argparse.Namespace) -> None:
    from fastdepth_ros.data.synthetic.dataset import write_rooms

    rendered = write_rooms(parsed.out, parsed.count, parsed.views)
    print(f"{parsed.out}: {parsed.count} rooms of {parsed.views} views, {rendered} of them rendered now")
