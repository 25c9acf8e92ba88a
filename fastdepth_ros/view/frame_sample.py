"""Samples of frames, evenly spaced: of a folder of images, of a bag or video, or of synthetic rooms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fastdepth_ros.data.synthetic.sequence import room_sequence
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.pictures.image_files import read_frame

ROOMS = 8
SUFFIXES = (".jpg", ".jpeg", ".png")


def sample_folder(folder: Path, count: int) -> Iterator[Frame]:
    """Up to `count` images of a folder and its subfolders.

    Raises:
        FastDepthError: no such folder, or no jpg or png in it.
    """
    if not folder.is_dir():
        raise FastDepthError(f"no folder {folder}")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        raise FastDepthError(f"{folder} holds no jpg or png")
    return (read_frame(files[index]) for index in _spaced(len(files), count))


def sample_bag(bag: str, image_topic: str, count: int) -> Iterator[Frame]:
    """Up to `count` frames of a bag or a video.

    Raises:
        FastDepthError: not readable, or a camera.
    """
    from fastdepth_ros.view.source import open_source  # late: the other samples need no rosbags

    with open_source(bag, image_topic) as source:
        if source.live:
            raise FastDepthError(f"{bag} is a camera; record a bag or a video with it")
        chosen = set(_spaced(source.total, count))
        for index, (_, frame, _) in enumerate(tqdm(source.frames, total=source.total, unit="frame", desc="read")):
            if index in chosen:
                yield frame


def sample_rooms(count: int) -> Iterator[Frame]:
    """`count` frames of up to `ROOMS` synthetic rooms."""
    counts = [len(part) for part in np.array_split(np.arange(count), min(ROOMS, count))]
    drawn = (Frame(frame.rgb) for seed, number in enumerate(counts) for frame in room_sequence(number, seed=seed))
    return iter(tqdm(drawn, total=count, unit="frame", desc="draw rooms"))


def _spaced(total: int, count: int) -> list[int]:
    return np.unique(np.linspace(0, max(total - 1, 0), count).astype(int)).tolist()
