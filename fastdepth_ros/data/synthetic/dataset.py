"""Data set of synthetic rooms, of the kind `folder`: each room has its own seed and a few views."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from fastdepth_ros.data.folder_writer import FolderWriter
from fastdepth_ros.data.synthetic.scene import Camera
from fastdepth_ros.data.synthetic.sequence import room_sequence
from fastdepth_ros.errors import FastDepthError

HALF_KINECT = Camera(518.858 / 2, 519.470 / 2, (324.58 - 0.5) / 2, (252.74 - 0.5) / 2, 320, 240)
FIRST_SEED = 100_000  # the demo and the tests use small seeds


def write_rooms(out: Path, rooms: int, views: int) -> int:
    """Render rooms into a `folder` data set. Pairs that exist stay, so that a killed run resumes.

    Args:
        rooms, views: number of rooms, and of views of each room, at least 1.

    Returns:
        Number of rooms that this call rendered.

    Raises:
        FastDepthError: `rooms` or `views` is below 1.
        FastDepthError: the folder holds other pairs, such as those of another number of views.
    """
    if rooms < 1 or views < 1:
        raise FastDepthError(f"{rooms} rooms of {views} views; ask for at least 1 of each")
    with FolderWriter(out, {"rooms": FIRST_SEED, "views": views, "camera": asdict(HALF_KINECT)}) as writer:
        names = [[f"{room:05d}-{view}" for view in range(views)] for room in range(rooms)]
        missing = [room for room in range(rooms) if not all(map(writer.has, names[room]))]
        for room in tqdm(missing, desc="rendering", unit="room"):
            for name, frame in zip(names[room], room_sequence(views, seed=FIRST_SEED + room, camera=HALF_KINECT)):
                writer.add(name, frame.rgb, frame.depth)
        writer.finish([name for room in names for name in room])
    return len(missing)
