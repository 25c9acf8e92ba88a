"""Artifact: a folder with one model file per format, and the manifest with their sha256."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from fastdepth_ros.artifact.golden import check_golden
from fastdepth_ros.backends import Backend, BackendOptions, ModelFile, backend_class
from fastdepth_ros.depth.estimator import DepthEstimator, EstimatorOptions
from fastdepth_ros.depth.geometry import Focal
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import atomic_write
from fastdepth_ros.share import share_folder

MANIFEST = "manifest.json"
VERSION = 1
DEFAULT_MODEL = "fastdepth-pruned"
DEFAULT_BACKEND = "onnxruntime"

INPUT_SIZE_PX = 224
INTERFACE: dict[str, dict[str, Any]] = {
    "input": {"shape": [1, INPUT_SIZE_PX, INPUT_SIZE_PX, 3], "dtype": "uint8", "layout": "NHWC", "channels": "RGB"},
    "output": {"shape": [1, 1, INPUT_SIZE_PX, INPUT_SIZE_PX], "dtype": "float32", "unit": "metre"},
}

ALWAYS = ("version", "name", "input", "output", "files", "fx", "fy", "file", "sha256")  # the rest may be absent
NUMBER = (int, float)
GOLDEN = {"spacing_px": int, "tolerance_m": NUMBER, "depth_m": list}
ACCURACY = {"*": {"*": NUMBER}}
SCHEMA: dict[str, Any] = {  # field: its type, or the schema of an object; "*" is any other field
    "version": int,
    "name": str,
    "input": {},
    "output": {},
    "files": {"*": {"file": str, "sha256": str, "opset": int, "rewritings": list}},
    "trained_focal_px": {"fx": NUMBER, "fy": NUMBER},
    "channels": {"*": list},
    "weights": int,
    "macs": int,
    "made_with": {"*": str},
    "preprocessing": {},
    "training_data": str,
    "training": list,
    "held_out": {"what": str, "indices": list},
    "recipe": str,
    "licence": str,
    "golden": GOLDEN,
    "accuracy": ACCURACY,
    "precisions": {"*": {"golden": GOLDEN, "accuracy": ACCURACY}},
}
TYPE_NAMES = {str: "a text", int: "a whole number", NUMBER: "a number", list: "a list"}


@dataclass(frozen=True)
class Artifact:
    """An artifact whose manifest was read and checked; its files are verified when they are used."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.manifest["name"]

    @property
    def input_size_px(self) -> int:
        return self.manifest["input"]["shape"][1]

    @property
    def trained_focal(self) -> Focal | None:
        """Focal length of the training camera; None if the manifest does not say."""
        focal = self.manifest.get("trained_focal_px")
        return Focal(float(focal["fx"]), float(focal["fy"])) if focal is not None else None

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
            remedy = "" if precision == "fp32" else f"; `fastdepth quantize --to {precision}` makes one of onnx"
            raise FastDepthError(f"{self.folder} has no {key} file, it has {', '.join(sorted(files))}{remedy}")
        return ModelFile(self.verified(key), self.input_size_px, files[key].get("opset"), files[key])

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

    def load(self, backend: str = DEFAULT_BACKEND, options: BackendOptions | None = None) -> Backend:
        """Load a backend and check the golden frame; the check also warms up the engine.

        Raises:
            FastDepthError: no such backend or file, the engine cannot load it, or the golden frame differs.
        """
        cls, options = backend_class(backend), options or BackendOptions()
        engine = cls(self.model_file(cls.model_format, options.precision), options)
        self.check_golden(engine, options.precision)
        return engine

    def estimator(self, backend: Backend, options: EstimatorOptions | None = None) -> DepthEstimator:
        """The hot path around a backend that runs this artifact."""
        return DepthEstimator(backend, self.input_size_px, options, self.trained_focal)

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
        return check_golden(engine, facts["golden"], self.input_size_px) if "golden" in facts else None

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
    folder = bundled / text if is_bundled else Path(text).expanduser()
    if root and not is_bundled and not folder.resolve().is_relative_to(Path(root).expanduser().resolve()):
        raise FastDepthError(f"{folder} is not below {root}, where model_root allows models; put it there")
    if not (folder / MANIFEST).is_file():
        names = sorted(path.parent.name for path in bundled.glob(f"*/{MANIFEST}"))
        raise FastDepthError(f"no artifact at {folder} (no {MANIFEST} there); bundled are {', '.join(names)}")
    return Artifact(folder, _read_manifest(folder / MANIFEST))


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


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest, atomically."""
    atomic_write(folder / MANIFEST, manifest_text(manifest) + "\n")


def manifest_text(manifest: Mapping[str, Any]) -> str:
    """Manifest as JSON with one line per list of numbers."""
    return re.sub(r"\[\n[^\[\]{}]*\]", lambda numbers: " ".join(numbers[0].split()), json.dumps(manifest, indent=2))


def record_accuracy(artifact: Artifact, precision: str, key: str, figures: Mapping[str, float]) -> None:
    """Write the accuracy of one precision into the manifest of an artifact, rounded to 4 digits.

    Args:
        key: data set, split and preprocessing: "nyu-labeled/test/authors".
    """
    facts = artifact.facts(precision)
    rounded = {name: round(value, 4) for name, value in figures.items()}
    facts = {**facts, "accuracy": {**facts.get("accuracy", {}), key: rounded}}
    if precision != "fp32":
        facts = {**artifact.manifest, "precisions": {**artifact.manifest["precisions"], precision: facts}}
    write_manifest(artifact.folder, facts)


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text())
        json.dumps(manifest, ensure_ascii=False).encode()  # half a surrogate pair cannot be encoded
    except (UnicodeError, RecursionError, ValueError) as error:
        raise FastDepthError(f"{path} is damaged or no JSON ({error}); fetch or export the artifact again") from error
    _require_keys(path, "it", manifest, ("version", "name", "input", "output", "files"))
    if manifest["version"] != VERSION:
        raise FastDepthError(f"{path} is of version {manifest['version']}, this package reads {VERSION}")
    for key, wanted in INTERFACE.items():
        _require_keys(path, key, manifest[key], ())
        differing = {name: manifest[key].get(name) for name in wanted if manifest[key].get(name) != wanted[name]}
        if differing:
            raise FastDepthError(f"{path}: {key} is {differing}, this package runs {wanted}")
    _require_focal(path, manifest.get("trained_focal_px"))
    _require_types(path, "", manifest, SCHEMA)
    for key, facts in manifest.get("precisions", {}).items():
        _require_keys(path, f"precisions.{key}", facts, ("golden",))
    return manifest


def _require_types(path: Path, where: str, found: Any, schema: Mapping[str, Any]) -> None:
    """Check an object and its parts against a schema such as SCHEMA; other fields are ignored."""
    _require_keys(path, where or "it", found, tuple(name for name in schema if name in ALWAYS))
    for name, value in found.items():
        wanted, field = schema.get(name, schema.get("*")), f"{where}.{name}" if where else name
        if isinstance(wanted, dict):
            if value is not None or name in ALWAYS or name not in schema:
                _require_types(path, field, value, wanted)
        elif wanted is not None and (not isinstance(value, wanted) or isinstance(value, bool)):
            raise FastDepthError(f"{path}: {field} is {value!r}, it should be {TYPE_NAMES[wanted]}")


def _require_focal(path: Path, focal: Any) -> None:
    if focal is None:
        return
    _require_keys(path, "trained_focal_px", focal, ("fx", "fy"))
    for axis in ("fx", "fy"):
        if not isinstance(focal[axis], (int, float)) or not 0 < focal[axis] < inf:
            raise FastDepthError(f"{path}: trained_focal_px.{axis} is {focal[axis]!r}, it should be a number above 0")


def _require_keys(path: Path, what: str, found: Any, keys: tuple[str, ...]) -> None:
    if not isinstance(found, dict):
        raise FastDepthError(f"{path}: {what} is {found!r}, it should be an object")
    missing = [key for key in keys if key not in found]
    if missing:
        raise FastDepthError(f"{path}: {what} lacks {', '.join(missing)}")
