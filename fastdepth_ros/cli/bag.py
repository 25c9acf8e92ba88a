"""`fastdepth bag`: depth for every frame of a recorded bag."""

from __future__ import annotations

import argparse
import json
import time
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastdepth_ros.backends import Backend
from fastdepth_ros.bags.bag_files import BagError, find_bags, is_bag
from fastdepth_ros.bags.windows import Selection
from fastdepth_ros.choice.choice import Choice
from fastdepth_ros.cli.depth_options import (
    add_bits_option,
    add_depth_options,
    add_field_option,
    add_points_options,
    estimator_options,
    points_options,
)
from fastdepth_ros.cli.options import (
    add_camera_info_option,
    add_json_option,
    add_model_options,
    add_output_size_option,
    add_time_options,
    add_tolerance_option,
    load_chosen_model,
    number,
    wanted_engine,
)
from fastdepth_ros.depth.options import DEPTH_ENCODINGS, PointsOptions
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.cores import logical_cores
from fastdepth_ros.jobs.pool import local_pool, ray_pool

if TYPE_CHECKING:
    from fastdepth_ros.artifact.artifact import Artifact
    from fastdepth_ros.bags.request import Request, Summary
    from fastdepth_ros.bags.run import Windows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser, auto=True)
    parser.add_argument(
        "bag", nargs="+",
        help="rosbag2 folder (mcap, sqlite3), ROS 1 .bag, folder of bags, or quoted pattern; several may be given",
    )  # fmt: skip
    parser.add_argument("--image-topic", required=True, help="Image or CompressedImage topic of the camera")
    add_camera_info_option(parser)
    parser.add_argument(
        "--out", type=Path, required=True, help="new bag; for several input bags, the folder of the new bags"
    )
    add_field_option(parser)
    add_output_size_option(parser)
    add_depth_options(parser)
    add_bits_option(parser)
    parser.add_argument(
        "--undistort", action="store_true",
        help="take the lens distortion that camera_info states out of the frames, unless the topic is rectified",
    )  # fmt: skip
    parser.add_argument(
        "--depth-encoding", choices=tuple(DEPTH_ENCODINGS), default="32FC1",
        help="32FC1: meters on /depth/image; 16UC1: millimeters on /depth/image_raw",
    )  # fmt: skip
    add_json_option(parser, "the summary")
    which = parser.add_argument_group("selection of frames")
    add_time_options(which)
    which.add_argument("--every", type=int, default=1, metavar="N", help="use one frame out of N")
    which.add_argument("--rate", type=number, metavar="HZ", help="highest number of frames per second to use")
    what = parser.add_argument_group("contents of the new bag")
    what.add_argument(
        "--copy", nargs="+", action="extend", default=[], metavar="TOPIC", help="topics to copy; '*' (quoted): all"
    )
    what.add_argument("--zstd", action="store_true", help="compress the mcap chunks with zstd")
    what.add_argument("--join", action="store_true", help="write one bag from several input bags")
    add_points_options(parser)
    truth = parser.add_argument_group(
        "comparison with a depth sensor", "metrics.json and metrics.png go into the new bag's folder"
    )
    truth.add_argument("--truth-topic", default="", help="topic of the depth sensor: 16UC1, 32FC1 or compressedDepth")
    add_camera_info_option(truth, "truth", "depth sensor")
    add_tolerance_option(truth, "--truth-tolerance")
    where = parser.add_argument_group("processes and machines")
    where.add_argument(
        "--workers", type=int, default=0, metavar="N", help="number of processes (default: one per core)"
    )
    where.add_argument(
        "--ray", default="", metavar="ADDRESS",
        help="Ray cluster to run on instead; auto: the one on this machine; all its machines must see the same files",
    )  # fmt: skip


def run(parsed: argparse.Namespace) -> int:
    from fastdepth_ros.bags.run import write_depth_bags

    if parsed.workers < 0:
        raise FastDepthError(f"--workers is {parsed.workers}, needs at least 1; 0 is one per core")
    if parsed.truth_topic:
        import matplotlib  # noqa: F401 - a missing module is an error before an hour of work
    bags = _bags(parsed)
    artifact, choice, backend = load_chosen_model(parsed)  # one that does not work ends the verb before a bag is opened
    request = _request(parsed, artifact, choice, backend)
    started = time.perf_counter()
    try:
        outcome = write_depth_bags(bags, request, lambda tasks: _pool(parsed, tasks))
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the same command goes on from there") from None
    seconds = time.perf_counter() - started
    engine = {"model": artifact.name, "backend": backend.engine, "precision": choice.precision}
    facts = {**engine, "seconds": round(seconds, 3)}
    if len(bags) == 1 and outcome.failures:
        raise BagError(next(iter(outcome.failures.values())))
    figures = {
        out: {**_figures(out, summary, parsed), "notes": outcome.notes[out]}
        for out, summary in outcome.summaries.items()
    }
    if not parsed.json:
        for out, summary in outcome.summaries.items():
            _print(out, summary, figures[out], seconds, parsed)
    elif len(bags) == 1:
        print(json.dumps({**next(iter(figures.values())), **facts}))
    else:
        failures = {str(out): reason for out, reason in outcome.failures.items()}
        print(json.dumps({"bags": {str(out): figures[out] for out in figures}, "failed": failures, **facts}))
    if outcome.failures:
        reasons = [f"{out}: {reason}" for out, reason in outcome.failures.items()]
        raise BagError(f"{len(reasons)} of {len(bags)} bags failed\n  " + "\n  ".join(reasons))
    return 0


def _bags(parsed: argparse.Namespace) -> dict[Path, list[Path]]:
    """The bags that go into each new bag."""
    found = find_bags(parsed.bag, parsed.out)
    if parsed.join:
        return {parsed.out: list(found.values())}
    if len(parsed.bag) == 1 and len(found) == 1 and (is_bag(path := Path(parsed.bag[0])) or path in found.values()):
        return {parsed.out: list(found.values())}
    return {parsed.out / name: [path] for name, path in found.items()}


def _request(parsed: argparse.Namespace, artifact: Artifact, choice: Choice, backend: Backend) -> Request:
    from fastdepth_ros.bags.request import ModelRecipe, Request, Truth
    from fastdepth_ros.depth.frame import SensorBits

    threads = parsed.threads or (1 if parsed.device == "cpu" else 0)  # a worker has a core
    options = replace(choice.options(wanted_engine(parsed)), threads=threads)
    estimating = estimator_options(parsed, output_size=parsed.output_size)
    recipe = ModelRecipe(artifact.folder.resolve(), choice.backend, options, backend.engine, estimating)
    truth = Truth(parsed.truth_topic, parsed.truth_camera_info_topic, parsed.truth_tolerance)
    return Request(
        recipe,
        parsed.image_topic,
        parsed.camera_info_topic,
        truth if parsed.truth_topic else None,
        tuple(parsed.copy),
        Selection(parsed.start, parsed.end, parsed.every, parsed.rate),
        parsed.zstd,
        parsed.depth_encoding,
        SensorBits(parsed.bits).bits,  # raises what is wrong with it
        _points(parsed, artifact),
        parsed.undistort,
    )


def _points(parsed: argparse.Namespace, artifact: Artifact) -> PointsOptions | None:
    from fastdepth_ros.depth.network import require_metric

    if parsed.points:
        require_metric(artifact.network)
    return points_options(parsed)


def _pool(parsed: argparse.Namespace, tasks: int) -> AbstractContextManager[Windows]:
    from fastdepth_ros.bags.worker import WINDOWS

    if parsed.ray:
        return ray_pool(WINDOWS, parsed.ray)
    workers = parsed.workers or (logical_cores() if parsed.device == "cpu" else 1)
    return local_pool(WINDOWS, min(workers, tasks))


def _figures(out: Path, summary: Summary, parsed: argparse.Namespace) -> dict[str, Any]:
    from fastdepth_ros.bags.metrics import read_metrics

    return {**summary.counts(), **({"metrics": read_metrics(out)} if parsed.truth_topic else {})}


def _print_reasons(what: str, counts: dict[str, int]) -> None:
    for reason, count in counts.items():
        print(f"  {count} {what}: {reason}")


def _print(out: Path, summary: Summary, figures: dict[str, Any], seconds: float, parsed: argparse.Namespace) -> None:
    from fastdepth_ros.depth.frame import NO_PICTURE, SAMPLE_BITS

    print(f"{out}: {summary.frames_out} of {summary.frames_in} frames in {seconds:.1f} s")
    _print_reasons("dropped", summary.dropped)
    for note in figures["notes"]:
        print(f"  {note}")
    if summary.no_picture:
        print(f"  {summary.no_picture} frames {NO_PICTURE}")
    _print_reasons("not scaled to the camera's focal length", summary.unscaled)
    if summary.bits:
        how = "as --bits says" if parsed.bits else "as a sample of the topic shows; --bits N fixes it"
        print(f"  16-bit samples: {summary.bits} of {SAMPLE_BITS} bits used, {how}")
    for reason, count in summary.bits_risen.items():
        print(f"  bits used rose {reason}" + (f" ({count} times)" if count > 1 else ""))
    _print_reasons("without depth/camera_info", summary.without_camera_info)
    _print_reasons("with another depth/camera_info than the camera's", summary.mended_camera_info)
    _print_reasons("not undistorted", summary.not_undistorted)
    if parsed.points:
        print(f"  {summary.points_out} point clouds")
    if summary.copied:
        print(f"  {summary.copied} messages of other topics")
    _print_reasons("without truth", summary.unmeasured)
    if "rmse" in figures.get("metrics", {}):
        metrics = figures["metrics"]
        for title, values in (("as it is", metrics), ("scale-aligned", metrics["scale_aligned"])):
            print(f"  {title:<14} RMSE {values['rmse']:.3f} m  rel {values['rel']:.3f}  delta1 {values['delta1']:.3f}")
        print(f"  over time: {out / 'metrics.png'}, metrics.json")
