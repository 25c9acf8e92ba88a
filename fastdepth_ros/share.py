"""Folders of this package: its data files, in whatever way it was installed, and the user's cache."""

from __future__ import annotations

import os
from pathlib import Path


def share_folder() -> Path:
    """The folder that holds models/, launch/, config/ and rviz/.

    Raises:
        FileNotFoundError: the package was installed without its data files.
    """
    package = Path(__file__).resolve().parent
    for parent in package.parents:  # a prefix holds lib/pythonX/site-packages/fastdepth_ros and share/fastdepth_ros
        for candidate in (parent, parent / "share" / "fastdepth_ros"):
            if (candidate / "package.xml").is_file() and (candidate / "models").is_dir():
                return candidate
    raise FileNotFoundError(f"no share/fastdepth_ros above {package}; install the package with its data files")


def cache_folder() -> Path:
    """The user's cache of this package; it may not exist yet.

    Raises:
        FileNotFoundError: the user has no home folder, as in a container that runs under a number.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if cache.startswith("~"):
        raise FileNotFoundError("this user has no home folder: set HOME or XDG_CACHE_HOME")
    return Path(cache) / "fastdepth_ros"
