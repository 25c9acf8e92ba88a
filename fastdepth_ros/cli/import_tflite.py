"""Import of a .tflite depth network as it is, for LiteRT, by `fastdepth models import --as-is`."""

from __future__ import annotations

import argparse
from typing import Any

from fastdepth_ros.cli.import_onnx import stated_normalization
from fastdepth_ros.errors import FastDepthError


def add_as_is_option(parser: argparse.ArgumentParser) -> None:
    text = "keep a .tflite file as it is and run it in LiteRT, in place of the weights of a FastDepth read from it"
    parser.add_argument("--as-is", action="store_true", help=text)


def import_as_is(parsed: argparse.Namespace) -> int:
    """Show what the file and the options say, and write the artifact if that was confirmed.

    Raises:
        FastDepthError: as `read_tflite` and `import_tflite`, or an option is missing or contradicts the file.
    """
    from fastdepth_ros.deploy.foreign_file import import_tflite, read_tflite

    image, depth = read_tflite(parsed.file)
    fields, facts = _fields(parsed), _facts(parsed, str(image.dtype))
    normalization = f"(pixel - {facts['mean']}) / {facts['std']}" if facts.get("mean") else "bytes as they are"
    given, meters = fields["input"], fields["outputs"]["depth"]
    for name, value in (
        ("input", f"{image.dtype} {image.shape}, {'bgr' if parsed.bgr else 'rgb'}, {normalization}"),
        ("depth", f"{depth.dtype} {depth.shape}, {meters['kind']}{'' if meters['metric'] else ', relative'}"),
        ("focal rule", ", ".join(map(str, fields["focal"].values()))),
        ("view", f"{given['view']}, {given['fit']}, {given['interpolation']}"),
        ("license", fields["licence"]),
    ):
        print(f"{name:<15}{value}")
    if not parsed.yes:
        print(f"nothing is written yet: if this is right, add --yes to write {parsed.out}")
        return 1
    precision = import_tflite(parsed.file, parsed.out, fields, facts)
    print(f"{parsed.out}: written, {precision} for backend litert; check it by: fastdepth models verify {parsed.out}")
    return 0


def _fields(parsed: argparse.Namespace) -> dict[str, Any]:
    """Fields of the manifest that the options say."""
    focal = parsed.focal or {"rule": "none"}
    if not parsed.license:
        raise FastDepthError("an artifact names the license of its weights", "say it by --license")
    if focal["rule"] == "input":
        raise FastDepthError(f"{parsed.file} takes no camera matrix, the focal rule is input", "leave --focal out")
    depth: dict[str, Any] = {"kind": parsed.kind.replace("-", " "), "metric": not parsed.relative}
    if parsed.kind != "depth":
        depth |= dict(zip(("scale", "shift"), parsed.scale_shift))
    if parsed.valid_range:
        depth["valid"] = list(parsed.valid_range)
    given: dict[str, Any] = {"fit": parsed.fit, "interpolation": parsed.interpolation, "view": parsed.view}
    if parsed.fit == "pad":
        given["padding"] = [round(value) for value in parsed.padding or stated_normalization(parsed)[0] or (0, 0, 0)]
    return {
        "licence": parsed.license, "source": parsed.source or parsed.file.name, "focal": focal,
        "input": given, "outputs": {"depth": depth},
    }  # fmt: skip


def _facts(parsed: argparse.Namespace, dtype: str) -> dict[str, Any]:
    """Facts of the file for the manifest: normalization, order of channels, kind of its output."""
    mean, std = stated_normalization(parsed)
    if mean is None and dtype == "float32":
        raise FastDepthError(
            f"{parsed.file} does not say how its input is normalized",
            "say it by --normalize imagenet, or --mean and --std",
        )
    facts: dict[str, Any] = {} if mean is None or std is None else {"mean": list(mean), "std": list(std)}
    if parsed.bgr:
        facts["channels"] = "bgr"
    return facts | ({} if parsed.kind == "depth" else {"reciprocal": True})
