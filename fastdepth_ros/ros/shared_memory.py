"""Room for large images in Fast DDS's shared memory, without which best-effort subscribers lose most of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from fastdepth_ros.share import share_folder

VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")  # the second up to Jazzy (Fast DDS 2)
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
    return dict.fromkeys(VARIABLES, str(share_folder() / PROFILE))


def use_shared_memory() -> None:
    """Set it for this process and its children."""
    os.environ.update(shared_memory_variables())


def _has_room(memory: Path) -> bool:
    if not memory.is_dir():
        return False
    state = os.statvfs(memory)
    return state.f_bavail * state.f_frsize >= 3 * SEGMENT_BYTES
