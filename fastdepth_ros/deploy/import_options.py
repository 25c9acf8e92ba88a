"""Facts on a foreign network that the user says, and the manifest that they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastdepth_ros.artifact.artifact import sha256_of
from fastdepth_ros.artifact.manifest import VERSION
from fastdepth_ros.depth.geometry import DEPTH, INVERSE_DEPTH
from fastdepth_ros.errors import FastDepthError


@dataclass(frozen=True)
class ImportOptions:
    """Facts on a network that the user says; "" and None where the file says it.

    Args:
        licence: terms of the weights.
        size: height and width of the input.
        layout: "nchw" or "nhwc".
        mean, std: input = (pixel - mean) / std, pixels 0 to 255.
        bgr: the network takes blue first.
        depth_output, confidence_output, sky_output, valid_output: names of outputs.
        kind: DEPTH or INVERSE_DEPTH, whose depth is 1 / (scale d + shift).
        metric: depth is in meters.
        focal: the manifest's `focal`; None: rule input for a network that takes the camera, else none.
        view, fit, interpolation, padding: the manifest's `input`.
        valid: nearest and furthest depth that is believed.
        source: origin of the file; "": its name.
    """

    licence: str
    size: tuple[int, int] | None = None
    layout: str = ""
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    bgr: bool = False
    depth_output: str = ""
    confidence_output: str = ""
    sky_output: str = ""
    valid_output: str = ""
    kind: str = DEPTH
    scale: float = 1.0
    shift: float = 0.0
    metric: bool = True
    focal: dict[str, Any] | None = None
    view: str = "frame"
    fit: str = "crop"
    interpolation: str = "linear"
    padding: tuple[int, int, int] | None = None
    valid: tuple[float, float] | None = None
    source: str = ""

    def fields(self, path: Path, input_px: Sequence[int], depth_px: Sequence[int], camera: str = "") -> dict[str, Any]:
        """The manifest but for files and golden frame.

        Args:
            path: the network's file.
            input_px: height and width of the input.
            depth_px: rows and columns of the depth.
            camera: its input for the camera matrix, in words; "" where it takes none.

        Raises:
            FastDepthError: the focal rule and the inputs contradict each other.
        """
        given: dict[str, Any] = {
            "height_px": input_px[0], "width_px": input_px[1],
            "fit": self.fit, "interpolation": self.interpolation, "view": self.view,
        }  # fmt: skip
        if self.fit == "pad":
            given["padding"] = [round(value) for value in self.padding or self.mean or (0, 0, 0)]
        rule = self.focal or {"rule": "input" if camera else "none"}
        if (rule["rule"] == "input") != bool(camera):
            has = f"takes the camera matrix as {camera}" if camera else "takes no camera matrix"
            raise FastDepthError(f"{path} {has}, the focal rule is {rule['rule']}", "leave --focal out")
        depth = {"height_px": depth_px[0], "width_px": depth_px[1], "kind": self.kind, "metric": self.metric}
        if self.kind == INVERSE_DEPTH:
            depth |= {"scale": self.scale, "shift": self.shift}
        if self.valid:
            depth["valid"] = list(self.valid)
        return {
            "version": VERSION, "name": path.stem, "licence": self.licence,
            "source": self.source or path.name, "source_sha256": sha256_of(path),
            "input": given, "outputs": {"depth": depth}, "focal": rule,
        }  # fmt: skip
