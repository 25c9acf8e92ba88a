"""Folder of the package's data files: in a checkout, after `pip install`, after a colcon build."""

from __future__ import annotations

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
