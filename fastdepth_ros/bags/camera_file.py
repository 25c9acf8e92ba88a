"""Calibration file of a camera, as camera_calibration and camera_info_manager write it (YAML)."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import yaml

from fastdepth_ros.errors import FastDepthError

_MATRICES = {  # field of camera_info -> key of the file, how many numbers; None: any
    "k": ("camera_matrix", 9), "d": ("distortion_coefficients", None), "r": ("rectification_matrix", 9),
    "p": ("projection_matrix", 12),
}  # fmt: skip


def read_camera_file(path: Path) -> SimpleNamespace:
    """Fields of a sensor_msgs/CameraInfo: height, width, distortion_model, k, d, r, p.

    Raises:
        FastDepthError: the file cannot be read, or is no calibration.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        fields = {name: [float(one) for one in content[key]["data"]] for name, (key, _) in _MATRICES.items()}
        size = {"height": int(content["image_height"]), "width": int(content["image_width"])}
        model = str(content["distortion_model"])
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise FastDepthError(f"{path} cannot be read as a calibration: {' '.join(str(error).split())}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise FastDepthError(f"{path} is no calibration as camera_calibration writes it: {error!r}") from error
    for name, (key, count) in _MATRICES.items():
        if count and len(fields[name]) != count:
            raise FastDepthError(f"{path}: {key} has {len(fields[name])} numbers, it needs {count}")
    return SimpleNamespace(**size, distortion_model=model, **fields)
