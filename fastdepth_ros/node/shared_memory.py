"""Room for large images in Fast DDS's shared memory, without which best-effort subscribers lose most of them."""

from __future__ import annotations

import argparse
import fcntl
import os
import re
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fastdepth_ros.share import share_folder

VARIABLES = (
    "FASTRTPS_DEFAULT_PROFILES_FILE",
    "FASTDDS_DEFAULT_PROFILES_FILE",
)  # up to Jazzy (Fast DDS 2); from Kilted on
KILTED = 9  # of rclpy
PROFILE = Path("config", "shared_memory.xml")
SEGMENT_BYTES = 32 << 20  # in the profile; each process that is started with it takes one
MEMORY = Path("/dev/shm")
SEGMENT_LOCK = re.compile(r"(fastdds_[0-9a-f]{16})_el")
YOUNG_S = 60.0  # a process makes the file of its lock before it locks it


def shared_memory_variables(environment: Mapping[str, str] = os.environ, memory: Path = MEMORY) -> dict[str, str]:
    """Environment of a publisher, to set before its `rclpy.init`; other middlewares do not read it.

    Returns:
        Nothing where the user chose a profile, or where `memory` has no room for the segments of a camera and a node,
        as in a container with Docker's 64 MB.
    """
    if any(name in environment for name in VARIABLES) or not _has_room(memory):
        return {}
    return {variable_read(_rclpy_major()): str(share_folder() / PROFILE)}


def variable_read(rclpy_major: int) -> str:
    """The variable that Fast DDS reads in the distribution of this rclpy; the newer one warns of the older's name."""
    return VARIABLES[rclpy_major >= KILTED]


def add_shared_memory_option(parser: argparse.ArgumentParser) -> None:
    """``--no-shared-memory`` of the executables that publish depth."""
    text = "leave Fast DDS's shared memory as it is: large images may be lost or late"
    parser.add_argument("--no-shared-memory", dest="shared_memory", action="store_false", help=text)


def use_shared_memory() -> None:
    """Set it for this process and its children, once the segments of killed processes have made room."""
    remove_dead_segments()
    os.environ.update(shared_memory_variables())


def remove_dead_segments(memory: Path = MEMORY) -> list[str]:
    """Remove the segments that killed processes of this user left behind, as `fastdds shm clean` does.

    A process of Fast DDS holds the lock beside its segment as long as it lives, and the system takes the lock from a
    process that was killed. So the segment belongs to nobody if we get the lock.

    Returns:
        The names of the segments.
    """
    removed = []
    for path in memory.glob("fastdds_*_el"):
        name = SEGMENT_LOCK.fullmatch(path.name)
        try:
            state = path.stat()
            if name is None or state.st_uid != os.getuid() or time.time() - state.st_mtime < YOUNG_S:
                continue
            with path.open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.with_name(name[1]).unlink(missing_ok=True)
                path.unlink()
            removed.append(name[1])
        except OSError:  # its process lives, or another one was faster
            continue
    return removed


def _rclpy_major() -> int:
    """Raises PackageNotFoundError where rclpy is not installed."""
    for name in ("rclpy", "ros-rclpy"):  # a distribution's own, and the wheel
        try:
            return int(version(name).partition(".")[0])
        except PackageNotFoundError:
            last = name
    raise PackageNotFoundError(last)


def _has_room(memory: Path) -> bool:
    if not memory.is_dir():
        return False
    state = os.statvfs(memory)
    return state.f_bavail * state.f_frsize >= 3 * SEGMENT_BYTES
