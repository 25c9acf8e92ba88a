"""Manifest of an artifact: read, brought to the present version, and checked against its JSON schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from itertools import pairwise
from math import inf
from pathlib import Path
from sys import float_info
from typing import Any

from fastdepth_ros.depth.geometry import DEPTH, Focal
from fastdepth_ros.depth.network import FocalRule, Network, NetworkInput
from fastdepth_ros.errors import FastDepthError

MANIFEST = "manifest.json"
VERSION = 2
NOT_STATED = "not stated"

TYPES: dict[str, tuple[Any, str]] = {  # type of JSON schema: Python's, and what an error calls it
    "string": (str, "a text"),
    "integer": (int, "a whole number"),
    "number": ((int, float), "a number"),
    "boolean": (bool, "true or false"),
    "array": (list, "a list"),
    "object": (dict, "an object"),
}
_VERSION_1 = {  # all that version 1 could say of input and output
    "input": {"shape": [1, 224, 224, 3], "dtype": "uint8", "layout": "NHWC", "channels": "RGB"},
    "output": {"shape": [1, 1, 224, 224], "dtype": "float32", "unit": "metre"},
}


@cache
def schema() -> dict[str, Any]:
    """JSON schema of a manifest."""
    return json.loads(files("fastdepth_ros.artifact").joinpath("manifest_schema.json").read_text(encoding="utf-8"))


def read_manifest(path: Path) -> dict[str, Any]:
    """A manifest of this version or the one before, as this version.

    Raises:
        FastDepthError: damaged, of another version, or not what the schema says: with the field and its value.
    """
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        json.dumps(manifest, ensure_ascii=False).encode()  # half a surrogate pair cannot be encoded
    except (UnicodeError, RecursionError, ValueError) as error:
        raise FastDepthError(f"{path} is damaged or no JSON ({error}); fetch or export the artifact again") from error
    try:
        if not isinstance(manifest, dict) or "version" not in manifest:
            check({"type": "object", "required": ["version"]}, manifest)
        if manifest["version"] == 1:
            manifest = _from_version_1(manifest)
        elif manifest["version"] != VERSION:
            raise FastDepthError(f"it is of version {manifest['version']!r:.80}, this package reads 1 and {VERSION}")
        check(schema(), manifest)
        network_of(manifest)
    except FastDepthError as error:
        raise FastDepthError(f"{path}: {error}") from error
    return manifest


def check(rules: Mapping[str, Any], found: Any, field: str = "") -> None:
    """Check a value against the part of JSON schema that our schema uses.

    Raises:
        FastDepthError: the first field that differs, its value, and what it should be.
    """
    what = field or "it"
    wrong = next(_differences(rules, found), "")
    if wrong:
        raise FastDepthError(f"{what} is {found!r:.80}, it should be {wrong}")
    if isinstance(found, dict):
        missing = [name for name in rules.get("required", ()) if name not in found]
        if missing:
            raise FastDepthError(f"{what} lacks {', '.join(missing)}")
        properties, others = rules.get("properties", {}), rules.get("additionalProperties", {})
        for name, value in found.items():
            if others is False and name not in properties:
                raise FastDepthError(f"{what} has {name!r}, there is {', '.join(properties)}")
            check(properties.get(name, others), value, f"{field}.{name}" if field else name)
    elif isinstance(found, list) and "items" in rules:
        for index, value in enumerate(found):
            check(rules["items"], value, f"{field}[{index}]")
    for each in rules.get("allOf", ()):
        if _meets(each["if"], found):
            check(each["then"], found, field)


def _meets(rules: Mapping[str, Any], found: Any) -> bool:
    try:
        check(rules, found)
    except FastDepthError:
        return False
    return True


def _differences(rules: Mapping[str, Any], found: Any) -> Iterator[str]:
    """Words for what a value should be and is not, by the rules on the value itself."""
    if "type" in rules:
        kind, words = TYPES[rules["type"]]
        if not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool):
            yield words
        if isinstance(found, (int, float)) and not abs(found) <= float_info.max:  # a whole number has no limit in JSON
            yield "a finite number"
    if "const" in rules and found != rules["const"]:
        yield repr(rules["const"])
    if "enum" in rules and found not in rules["enum"]:
        yield "one of " + ", ".join(map(repr, rules["enum"]))
    for name, wrong, words in (
        ("minimum", lambda limit: found < limit, "{} or more"),
        ("maximum", lambda limit: found > limit, "{} or less"),
        ("exclusiveMinimum", lambda limit: found <= limit, "above {}"),
        ("minItems", lambda limit: len(found) < limit, "{} entries or more"),
        ("maxItems", lambda limit: len(found) > limit, "{} entries or less"),
        ("minLength", lambda limit: len(found) < limit, "{} letters or more"),
    ):
        if name in rules and wrong(rules[name]):
            yield words.format(rules[name])


def _from_version_1(old: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest of version 1, whose network is FastDepth at 224x224, as one of version 2.

    Raises:
        FastDepthError: a field of version 1 is missing, or says another network.
    """
    check({"type": "object", "required": ["name", "input", "output", "files"]}, old)
    for key, wanted in _VERSION_1.items():
        check({"type": "object"}, old[key], key)
        differing = {name: old[key].get(name) for name in wanted if old[key].get(name) != wanted[name]}
        if differing:
            raise FastDepthError(f"{key} is {differing}, version 1 has {wanted}")
    focal = old.get("trained_focal_px")
    fields = {"name": old["name"], "licence": NOT_STATED, "files": old["files"], **fastdepth_fields(focal)}
    gone = (*_VERSION_1, "trained_focal_px", "preprocessing")
    kept = {name: value for name, value in old.items() if name not in gone and value is not None}
    return {**fields, **kept, "version": VERSION}


def fastdepth_fields(focal: Any, input_px: tuple[int, int] = (224, 224)) -> dict[str, Any]:
    """Fields of the manifest of a FastDepth.

    Args:
        focal: `fx` and `fy` of the training camera at the network input, pixels; None is unknown.
        input_px: height and width of the network input.
    """
    size = {"height_px": input_px[0], "width_px": input_px[1]}
    if focal is not None:
        check({"type": "object"}, focal, "trained_focal_px")
    return {
        "input": {**size, "fit": "stretch", "interpolation": "linear", "view": "authors"},
        "outputs": {"depth": {**size, "kind": DEPTH, "metric": True}},
        "focal": {"rule": "none"} if focal is None else {"rule": "trained", **focal},
    }


def network_of(manifest: Mapping[str, Any]) -> Network:
    """The network of a manifest, as the estimator knows it.

    Raises:
        FastDepthError: fields that contradict each other.
    """
    given, depth, focal = manifest["input"], manifest["outputs"]["depth"], manifest["focal"]
    near, far = depth.get("valid", (0.0, inf))
    if not near < far:
        raise FastDepthError(f"outputs.depth.valid is {depth['valid']}, it should rise")
    if focal["rule"] == "canonical" and given["fit"] == "stretch":
        raise FastDepthError(
            "focal.rule is 'canonical' and input.fit is 'stretch', which squeezes the picture", "set fit to crop or pad"
        )
    return Network(
        NetworkInput(
            given["height_px"], given["width_px"], given["fit"], given["interpolation"], given["view"],
            tuple(given.get("padding", (0, 0, 0))),
        ),
        FocalRule(focal["rule"], _focal(focal)),
        depth["kind"], float(depth.get("scale", 1.0)), float(depth.get("shift", 0.0)), depth["metric"],
        float(near), float(far), depth.get("sky", False),
        _confidence(manifest["outputs"].get("confidence", {}).get("calibration")),
    )  # fmt: skip


def _focal(focal: Mapping[str, Any]) -> Focal | None:
    if focal["rule"] == "trained":
        return Focal(float(focal["fx"]), float(focal["fy"]))
    return Focal(*[float(focal["constant"])] * 2) if focal["rule"] == "canonical" else None


def _confidence(calibration: Mapping[str, Any] | None) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    if calibration is None:
        return None
    said, meant = (tuple(map(float, calibration[name])) for name in ("said", "meant"))
    if len(said) != len(meant) or any(before >= after for before, after in pairwise(said)):
        raise FastDepthError("outputs.confidence.calibration: said should rise, and be as long as meant")
    return said, meant
