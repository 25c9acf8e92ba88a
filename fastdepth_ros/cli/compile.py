"""`fastdepth compile`: code for one kind of processor, made from an artifact."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fastdepth_ros.cli.options import add_new_artifact_option, add_target_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_target_options(parser)
    text = "folder that `fastdepth tune` wrote (default: records in the artifact)"
    parser.add_argument("--tuning", type=Path, metavar="DB", help=text)
    add_new_artifact_option(parser)


def run(parsed: argparse.Namespace) -> None:
    from fastdepth_ros.artifact.artifact import find_artifact
    from fastdepth_ros.deploy.compile import compile_artifact
    from fastdepth_ros.deploy.targets import find_target

    source, target = find_artifact(parsed.model), find_target(parsed.target)
    compiled = compile_artifact(source, target, parsed.out, parsed.tuning)
    proof = "not run here" if compiled.off_m is None else f"agrees with ONNX Runtime to {compiled.off_m:.1e} m"
    print(f"{parsed.out}: {source.name} for {target.name}, {proof}")
    if compiled.untuned:
        print(
            f"fastdepth compile: {compiled.untuned} of {compiled.kernels} kernels are not tuned for {target.name} and "
            f"run slower than they could; tune them: fastdepth tune --model {parsed.model or source.name} "
            f"--target {parsed.target} --db DB, then compile with --tuning DB",
            file=sys.stderr,
        )
