"""`fastdepth VERB`: one file a verb; each only parses its arguments and calls."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from types import ModuleType

from fastdepth_ros.errors import FastDepthError

VERBS = {
    "bag": "compute depth for every frame of a recorded bag",
    "bench": "measure latency and energy on this machine",
    "calibrate-scale": "fit the scale of the depth to a depth sensor or a known distance",
    "choose": "find the fastest engine on this machine, for the node's backend: auto",
    "compile": "compile an artifact for one kind of processor, with TVM",
    "complexity": "count weights and multiply-accumulates, and compare them with the paper",
    "demo": "run the node on a real ROS graph and save what it publishes",
    "evaluate": "measure the accuracy of a model on a data set",
    "export": "convert a checkpoint to an artifact, or an artifact to a plain network for accelerators",
    "image": "compute depth for image files",
    "label": "compute depth for photographs, as a data set to train on",
    "live": "show the depth of a webcam in a window or a browser, without ROS",
    "models": "list, show, verify, import, complete and fetch artifacts",
    "prune": "prune a trained network to a budget, with NetAdapt",
    "quantize": "add an int8, fp16 or bf16 model to a copy of an artifact",
    "report": "write one HTML page about a recording with depth",
    "rooms": "render synthetic rooms with exact depth, as a data set to train on",
    "train": "train a network",
    "tune": "measure which code is fastest on a processor, for `fastdepth compile`",
    "video": "write frame and depth side by side to an mp4: from a bag, a video or a camera",
    "view": "show a running node in a browser: frame, depth, point cloud, stage times",
}
EXTRAS = {  # module that a verb may lack -> extra that brings it
    "cv2": "opencv", "torch": "torch", "onnx": "torch", "safetensors": "torch", "rosbags": "bags", "apsw": "bags",
    "mcap": "bags", "ray": "cluster", "rerun": "view", "av": "view",
    "rclpy": "ros", "rich": "demo", "yaml": "bags", "h5py": "train", "scipy": "train", "matplotlib": "bags",
    "tensorboard": "train", "tvm": "tvm", "tvm_ffi": "tvm",
    "openvino": "openvino", "argcomplete": "completion", "ai_edge_litert": "litert",
}  # fmt: skip


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Adds the default to each help text that does not name it; an empty default says nothing."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        nothing = action.default is None or action.default is False or action.default in ("", [], [""])
        return action.help if nothing or "(default" in (action.help or "") else super()._get_help_string(action)


def main(arguments: list[str] | None = None) -> int:
    """Entry point of `fastdepth`; a verb's own errors end it with one line and exit code 1."""
    if "_ARGCOMPLETE" in os.environ:
        _complete(os.environ["COMP_LINE"])
    arguments = sys.argv[1:] if arguments is None else arguments
    listing = "\n".join(f"  {verb:<17}{summary}" for verb, summary in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="fastdepth",
        description="Metric depth from one camera.",
        epilog=f"verbs:\n{listing}\n\n`fastdepth VERB --help` says more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", choices=VERBS, metavar="VERB", help="task to run, one of those below")
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


def _module(verb: str) -> ModuleType:
    """Late: one verb must not load the engines of another."""
    return import_module(f"fastdepth_ros.cli.{verb.replace('-', '_')}")


def _complete(line: str) -> None:
    """Answer bash, which asks for the words that may follow a line, and end the process: completion/fastdepth."""
    import argcomplete

    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers()
    for verb in VERBS:
        subparser = verbs.add_parser(verb)
        if verb in line.split()[1:2]:
            _module(verb).add_arguments(subparser)
    argcomplete.autocomplete(parser)


def _run(verb: str, arguments: list[str]) -> int:
    module = _module(verb)
    parser = argparse.ArgumentParser(prog=f"fastdepth {verb}", description=VERBS[verb], formatter_class=HelpFormatter)
    module.add_arguments(parser)
    parsed = parser.parse_args(arguments)
    try:
        return module.run(parsed) or 0
    except (FastDepthError, OSError) as error:
        print(f"fastdepth {verb}: {error}", file=sys.stderr)
        return 1
