"""Room for large images in Fast DDS's shared memory, without which best-effort subscribers lose most of them."""

from __future__ import annotations

import argparse
import os
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
    """Set it for this process and its children."""
    os.environ.update(shared_memory_variables())


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
