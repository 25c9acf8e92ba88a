"""`fastdepth choose`: the fastest engine on this machine, kept for the node's `backend: auto`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict

from fastdepth_ros.cli.options import add_json_option, add_model_options, wanted_engine
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.cores import logical_cores


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser, auto=True)
    add_json_option(parser)


def run(parsed: argparse.Namespace) -> None:
    from fastdepth_ros.artifact.artifact import find_artifact
    from fastdepth_ros.choice.kept import keep_choice
    from fastdepth_ros.choice.measure import QUIET_SHARE, Measurement

    artifact, wanted = find_artifact(parsed.model), wanted_engine(parsed)
    print("measuring for about 10 s", file=sys.stderr)
    measurement = Measurement(artifact, wanted)
    try:
        measurement.wait()
        timed, others = measurement.result()
    finally:
        measurement.close()
    rows = sorted(timed, key=lambda one: one.slowest_tenth_ms)
    quiet = others <= QUIET_SHARE * logical_cores()
    if parsed.json:
        print(json.dumps({"timed": [asdict(row) for row in rows], "others_cores": round(others, 2), "kept": quiet}))
    else:
        print(f"{'':<32}{'median ms':>11}{'slowest tenth ms':>18}")
        for row in rows:
            print(f"{row.choice!s:<32}{row.median_ms:>11.2f}{row.slowest_tenth_ms:>18.2f}")
    if not quiet:
        raise FastDepthError(f"not kept: others took {others:.1f} of {logical_cores()} cores; try again when they rest")
    print(f"kept: {keep_choice(artifact, wanted, timed, time.strftime('%Y-%m-%d')).why}", file=sys.stderr)
