"""`fastdepth VERB`: one file a verb; each only parses its arguments and calls."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

VERBS = {
    "bag": "depth for every frame of a recorded bag",
    "bench": "latencies on this device",
    "calibrate-scale": "fit the scale of the depth to a depth sensor or a known distance",
    "compile": "artefact to code for one kind of processor, with TVM",
    "complexity": "weights and multiply-accumulates, beside the paper's tables",
    "demo": "run the node on a real ROS graph and show what it does",
    "evaluate": "accuracy on a data set",
    "export": "checkpoint to artefact: ONNX, safetensors, manifest",
    "image": "depth for image files",
    "label": "depth for photographs, as a data set to train on",
    "live": "depth of a webcam, without ROS, in a window or a browser",
    "models": "list, show, verify, import and fetch artefacts",
    "prune": "NetAdapt: a trained network to a budget",
    "quantize": "an artefact in int8, fp16 or bf16 too",
    "report": "one HTML page about a recording with depth",
    "rooms": "synthetic rooms with exact depth, as a data set to train on",
    "train": "train a network",
    "tune": "measure which code is fastest on a target",
    "video": "a side-by-side mp4 of a bag, a video or a camera",
    "view": "a running node in a browser: frame, depth, point cloud, stage times",
}
EXTRAS = {  # module that a verb may lack -> extra that brings it
    "cv2": "opencv", "torch": "torch", "onnx": "torch", "safetensors": "torch", "rosbags": "bags", "apsw": "bags",
    "mcap": "bags", "ray": "cluster", "rerun": "view", "av": "view",
    "rclpy": "ros", "rich": "demo", "yaml": "train", "h5py": "train", "scipy": "train", "matplotlib": "bags",
    "tensorboard": "train", "tvm": "tvm", "tvm_ffi": "tvm",
    "openvino": "openvino",
}  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Entry point of `fastdepth`; a verb's own errors end it with one line and exit code 1."""
    arguments = sys.argv[1:] if arguments is None else arguments
    listing = "\n".join(f"  {verb:<17}{summary}" for verb, summary in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="fastdepth",
        description="Metric depth from one camera.",
        epilog=f"verbs:\n{listing}\n\n`fastdepth VERB --help` says more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", choices=VERBS, metavar="VERB", help="what to do")
    verb = parser.parse_args(arguments[:1]).verb
    try:
        return _run(verb, arguments[1:])
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        print(f"fastdepth {verb}: needs {error.name}: pip install 'fastdepth_ros[{extra}]'", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        print(f"fastdepth {verb}: {'; '.join(['interrupted', *interrupt.args])}", file=sys.stderr)
        return 130


def _run(verb: str, arguments: list[str]) -> int:
    # late: one verb must not load the engines of another
    module = import_module(f"fastdepth_ros.cli.{verb.replace('-', '_')}")
    parser = argparse.ArgumentParser(prog=f"fastdepth {verb}", description=VERBS[verb])
    module.add_arguments(parser)
    parsed = parser.parse_args(arguments)
    try:
        return module.run(parsed) or 0
    except (*module.ERRORS, OSError) as error:
        print(f"fastdepth {verb}: {error}", file=sys.stderr)
        return 1
