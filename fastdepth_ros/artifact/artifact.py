"""Artifact: a folder with one model file per format, and the manifest with their sha256."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from fastdepth_ros.artifact import DEFAULT_BACKEND, DEFAULT_MODEL
from fastdepth_ros.artifact.golden import check_golden
from fastdepth_ros.artifact.manifest import MANIFEST, network_of, read_manifest
from fastdepth_ros.backends import Backend, BackendOptions, ModelFile, backend_class, backend_names
from fastdepth_ros.backends.base import CheckedBackend
from fastdepth_ros.depth.estimator import DepthEstimator
from fastdepth_ros.depth.geometry import Focal
from fastdepth_ros.depth.network import Network
from fastdepth_ros.depth.options import EstimatorOptions
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.share import share_folder


@dataclass(frozen=True)
class Artifact:
    """An artifact whose manifest was read and checked; its files are verified when they are used."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.manifest["name"]

    @property
    def licence(self) -> str:
        return self.manifest["licence"]

    @property
    def confidence_state(self) -> str:
        """Words on the network's confidence: "none", "uncalibrated", or what it was calibrated on."""
        confidence = self.manifest["outputs"].get("confidence")
        if confidence is None:
            return "none"
        return f"calibrated on {confidence['calibration']['on']}" if "calibration" in confidence else "uncalibrated"

    @property
    def depth_shape(self) -> tuple[int, int]:
        """Rows and columns of the network's depth."""
        depth = self.manifest["outputs"]["depth"]
        return depth["height_px"], depth["width_px"]

    @property
    def is_metric(self) -> bool:
        """Whether its depth is in meters."""
        return self.manifest["outputs"]["depth"]["metric"]

    @property
    def network(self) -> Network:
        """The network as the estimator knows it."""
        return network_of(self.manifest)

    @property
    def trained_focal(self) -> Focal | None:
        """Focal length of the training camera; None where the depth does not follow one."""
        rule = self.network.focal_rule
        return rule.focal if rule.name == "trained" else None

    def formats(self, precision: str = "fp32") -> list[str]:
        """Formats that have a file of this precision."""
        files, ending = self.manifest["files"], file_key("", precision)
        if precision == "fp32":
            return [key for key in files if "-" not in key]
        return [key.removesuffix(ending) for key in files if key.endswith(ending)]

    def model_file(self, model_format: str, precision: str = "fp32") -> ModelFile:
        """The file of one format and precision, after verification of its sha256.

        Raises:
            FastDepthError: no such file in the manifest, or another sha256.
        """
        files, key = self.manifest["files"], file_key(model_format, precision)
        if key not in files:
            raise FastDepthError(
                f"{self.folder} has no {key} file, it has {', '.join(sorted(files))}", _maker(model_format, precision)
            )
        outputs, network = tuple(self.manifest["outputs"]), self.network
        path, opset = self.verified(key), files[key].get("opset")
        return ModelFile(path, network.input.shape, opset, files[key], outputs, network.takes_camera)

    def verified(self, key: str) -> Path:
        """The file of a key in the manifest's `files`, after verification of its place and its sha256.

        Raises:
            FastDepthError: outside the folder, missing, or of another sha256.
        """
        entry = self.manifest["files"][key]
        path = self.folder / entry["file"]
        if path.parent != self.folder:
            raise FastDepthError(f"{self.folder / MANIFEST} names {entry['file']!r}, which is not in its own folder")
        if not os.path.isfile(path):  # Path.is_file raises over a name that is too long
            raise FastDepthError(f"{path} is missing; its manifest names it")
        found = sha256_of(path)
        if found != entry["sha256"]:
            raise FastDepthError(f"{path} has sha256 {found}, its manifest says {entry['sha256']}; fetch it again")
        return path

    @property
    def default_backend(self) -> str:
        """Backend where none is named: ONNX Runtime, or the first one that this artifact has a file for."""
        names, formats = (DEFAULT_BACKEND, *backend_names()), self.formats()
        return next((name for name in names if backend_class(name).model_format in formats), DEFAULT_BACKEND)

    def load(self, backend: str = "", options: BackendOptions | None = None) -> Backend:
        """Load a backend and check the golden frame; the check also warms up the engine.

        Args:
            backend: its name; `default_backend` if empty.

        Raises:
            FastDepthError: no such backend or file, the engine cannot load it, or the golden frame differs.
        """
        cls, options = backend_class(backend or self.default_backend), options or BackendOptions()
        engine: Backend = cls(self.model_file(cls.model_format, options.precision), options)
        if not cls.__module__.startswith("fastdepth_ros."):
            engine = cast(Backend, CheckedBackend(engine))
        self.check_golden(engine, options.precision)
        return engine

    def estimator(self, backend: Backend, options: EstimatorOptions | None = None) -> DepthEstimator:
        """The hot path around a backend that runs this artifact."""
        return DepthEstimator(backend, self.network, options)

    def check_golden(self, engine: Backend, precision: str = "fp32") -> float | None:
        """Check that an engine still computes this network.

        Args:
            precision: precision that the engine was loaded with.

        Returns:
            Largest difference on the golden frame, meters; None for a manifest without one.

        Raises:
            FastDepthError: the difference is above the tolerance.
        """
        facts = self.facts(precision)
        return check_golden(engine, facts["golden"], self.network) if "golden" in facts else None

    def facts(self, precision: str) -> Mapping[str, Any]:
        """Manifest entry of one precision: golden record, accuracy."""
        return self.manifest if precision == "fp32" else self.manifest.get("precisions", {}).get(precision, {})


def find_artifact(model: str | Path = "", root: str | Path = "") -> Artifact:
    """One of the bundled artifacts by its bare name, the default one for "", or any by its folder (`./name`).

    Args:
        root: folder that must contain the artifact, symbolic links resolved; bundled ones are always allowed, and ""
            allows all.

    Raises:
        FastDepthError: neither a folder with a manifest nor a bundled name, or not below `root`.
    """
    text = str(model) or DEFAULT_MODEL
    bundled = share_folder() / "models"
    is_name = "/" not in text and text not in (".", "..")
    is_bundled = is_name and (bundled / text / MANIFEST).is_file()
    folder = bundled / text if is_bundled else Path(os.path.expanduser(text))
    if root and not is_bundled and not folder.resolve().is_relative_to(Path(os.path.expanduser(root)).resolve()):
        raise FastDepthError(f"{folder} is not below {root}, where model_root allows models; put it there")
    if not (folder / MANIFEST).is_file():
        names = sorted(path.parent.name for path in bundled.glob(f"*/{MANIFEST}"))
        raise FastDepthError(f"no artifact at {folder} (no {MANIFEST} there); bundled are {', '.join(names)}")
    return Artifact(folder, read_manifest(folder / MANIFEST))


def find_artifacts(models: Iterable[str | Path]) -> list[Artifact]:
    """`find_artifact` of each model, for a comparison by name.

    Raises:
        FastDepthError: as `find_artifact`, or two have the same name.
    """
    found = [find_artifact(model) for model in models]
    for name, number in Counter(artifact.name for artifact in found).items():
        if number > 1:
            folders = ", ".join(str(artifact.folder) for artifact in found if artifact.name == name)
            raise FastDepthError(f"{folders}: all are called {name}; give each a name of its own in its manifest")
    return found


def file_key(model_format: str, precision: str) -> str:
    """Key of a file in the manifest: "onnx", "onnx-int8"."""
    return model_format if precision == "fp32" else f"{model_format}-{precision}"


def _maker(model_format: str, precision: str) -> str:
    """Remedy for a file that is not there."""
    if model_format == "onnx" and precision != "fp32":
        return f"`fastdepth quantize --to {precision}` makes one of onnx"
    if model_format == "tvm":
        return "`fastdepth compile` makes one"
    return "" if model_format in ("onnx", "safetensors") else "`fastdepth models add` adds one that another tool made"


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
