"""Measures the package: code per folder, the robot's imports, the way of a frame, error classes and registries.

python test/measure_house.py                                 # a table
python test/measure_house.py --json house.json               # the same figures as JSON
python test/measure_house.py --write doc/house.md --column after    # one column of the table in doc/house.md
python test/measure_house.py --draw doc/architecture.md      # the way of a frame

Code lines are lines that hold code: no blank lines, comments or docstrings. The way of a frame needs rclpy: a node with
the default parameters but for the backend, raw bgr8 frames of 640x480, ONNX Runtime, the network's grid.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import io
import json
import os
import re
import subprocess
import sys
import threading
import time
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "fastdepth_ros"
NOT_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING,
    tokenize.ENDMARKER,
}  # fmt: skip
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
INLINED = {"<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>"}  # calls in some versions of Python, none in others
FRAMES = 6  # the last one is measured: the first ones fill caches
TIMEOUT_S = 60.0
BEGIN, END = "<!-- measure_house.py writes this -->\n", "<!-- to here -->\n"


def code_lines(path: Path) -> int:
    """Lines of a Python file without blank lines, comments and docstrings."""
    source = path.read_text(encoding="utf-8")
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NOT_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            docstring = node.body[0]
            lines.difference_update(range(docstring.lineno, (docstring.end_lineno or docstring.lineno) + 1))
    return len(lines)


def folders() -> dict[str, dict[str, int]]:
    """Files and code lines by folder: the first level below the package, launch/ and test/."""
    found: dict[str, dict[str, int]] = defaultdict(lambda: {"files": 0, "code lines": 0})
    for folder in (PACKAGE, ROOT / "launch", ROOT / "test"):
        for path in sorted(folder.rglob("*.py")):
            inside = path.relative_to(folder).parts
            name = f"{folder.name}/{inside[0]}" if folder == PACKAGE and len(inside) > 1 else folder.name
            found[name]["files"] += 1
            found[name]["code lines"] += code_lines(path)
    return dict(sorted(found.items()))


def sources(folder: Path) -> Iterator[ast.Module]:
    for path in sorted(folder.rglob("*.py")):
        yield ast.parse(path.read_text(encoding="utf-8"))


def counts() -> dict[str, int]:
    """Error classes, registries and the like, counted in the source."""
    modules = list(sources(PACKAGE))
    errors = _error_classes(modules)
    nodes = [node for module in modules for node in ast.walk(module)]
    return {
        "error classes": len(errors),
        "named tuples of errors": sum(map(_is_tuple_of_errors, nodes)),
        "except clauses with several classes": sum(
            isinstance(node, ast.ExceptHandler) and isinstance(node.type, ast.Tuple) for node in nodes
        ),
        "errors raised again as another class": sum(
            isinstance(node, ast.Raise) and node.exc is not None and isinstance(node.cause, ast.Name) for node in nodes
        ),
        "registries": sum(map(_is_registry_class, nodes)) + sum(map(_empty_tables, modules)),
        "monkeypatch calls in test/node": _attributes(ROOT / "test" / "node", "monkeypatch"),
        "private names used in test/node": _private_names(ROOT / "test" / "node"),
    }


def _error_classes(modules: list[ast.Module]) -> set[str]:
    classes = [node for module in modules for node in ast.walk(module) if isinstance(node, ast.ClassDef)]
    known = {name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    found: set[str] = set()
    while more := {c.name for c in classes if {ast.unparse(base).split(".")[-1] for base in c.bases} & known} - found:
        found |= more
        known |= more
    return found


def _is_tuple_of_errors(node: ast.AST) -> bool:
    """An assignment of a tuple to a name such as ERRORS or LOADING_ERRORS."""
    if not isinstance(node, (ast.Assign, ast.AnnAssign)) or not isinstance(node.value, ast.Tuple):
        return False
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return any(isinstance(target, ast.Name) and target.id.endswith("ERRORS") for target in targets)


def _is_registry_class(node: ast.AST) -> bool:
    """A class with a method `register`."""
    return isinstance(node, ast.ClassDef) and any(
        isinstance(inside, ast.FunctionDef) and inside.name == "register" for inside in node.body
    )


def _empty_tables(module: ast.Module) -> int:
    """Dictionaries of a module that are empty where they are made: decorators and calls fill them."""
    return sum(
        isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, ast.Dict) and not node.value.keys
        for node in module.body
    )


def _attributes(folder: Path, name: str) -> int:
    return sum(
        isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name
        for module in sources(folder)
        for node in ast.walk(module)
    )


def _private_names(folder: Path) -> int:
    """Uses of another object's `_name`."""
    return sum(
        isinstance(node, ast.Attribute)
        and re.match(r"_[^_]", node.attr) is not None
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
        for module in sources(folder)
        for node in ast.walk(module)
    )


class Recorder:
    """A profiler that keeps the calls into the package between the image callback's entry and the last publish.

    Args:
        callback: code of the image callback.
        publish: code of the publisher's method.
    """

    def __init__(self, callback: CodeType, publish: CodeType) -> None:
        self._callback, self._publish = callback, publish
        self._file_of: dict[str, str] = {}
        self.restart()

    def restart(self) -> None:
        self._events: list[tuple[str, str, str, bool]] = []  # file of the caller, file and name of the called, worker
        self._until = 0  # number of events before the last publish returned
        self._within: int | None = None  # the thread that is in the callback
        self._executor: int | None = None
        self._began = self.ended = False

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        thread = threading.get_ident()
        if event == "call":
            if frame.f_code is self._callback:
                self._within = self._executor = thread
                self._began = True
            if self._began and (thread != self._executor or thread == self._within):
                file = self._file(frame)
                if file and frame.f_code.co_name not in INLINED:
                    worker = thread != self._executor
                    self._events.append((self._caller(frame), file, frame.f_code.co_name, worker))
        elif event == "return" and self._began:
            if frame.f_code is self._callback:
                self._within = None
            elif frame.f_code is self._publish and thread != self._executor:
                self._until = len(self._events)

    @property
    def way(self) -> list[tuple[str, str, str]]:
        """Calls, the executor's before the worker's: file of the caller, file and name of the called."""
        events = sorted(self._events[: self._until], key=lambda event: event[3])
        return [(caller, called, name) for caller, called, name, _ in events]

    def _file(self, frame: FrameType) -> str:
        """The file of the package that a frame runs, "" for any other."""
        name = frame.f_code.co_filename
        if name not in self._file_of:
            inside = name.startswith(str(PACKAGE) + os.sep)
            self._file_of[name] = str(Path(name).relative_to(PACKAGE)) if inside else ""
        return self._file_of[name]

    def _caller(self, frame: FrameType) -> str:
        """The nearest file of the package below a frame, "" if there is none: threading and rclpy call back."""
        below = frame.f_back
        while below is not None:
            if file := self._file(below):
                return file
            below = below.f_back
        return ""


def frame_way() -> dict[str, Any]:
    """Run a node on frames; the calls of the last one, and the modules that the node loaded."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.publisher import Publisher
    from sensor_msgs.msg import CameraInfo, Image

    rclpy.init(domain_id=int(os.environ.get("ROS_DOMAIN_ID") or os.getpid() % 100 + 1))
    executor = SingleThreadedExecutor()
    node = import_module("fastdepth_ros.node.node").FastDepthNode(cli_args=["--ros-args", "-p", "backend:=onnxruntime"])
    camera = rclpy.create_node("camera")
    heard: list[int] = []
    for one in (node, camera):
        executor.add_node(one)
    camera.create_subscription(Image, "depth/image", lambda message: heard.append(message.header.stamp.sec), 10)
    images, infos = camera.create_publisher(Image, "image", 10), camera.create_publisher(CameraInfo, "camera_info", 10)

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        if recorder is not None:
            recorder(frame, event, argument)

    recorder: Recorder | None = None
    threading.setprofile(profile)  # of the threads to come, among them the worker's
    node.autostart()
    _spin_until(executor, lambda: images.get_subscription_count() and infos.get_subscription_count())
    subscription = next(one for one in node.subscriptions if one.topic_name == "/image")
    recorder = Recorder(subscription.callback.__code__, Publisher.publish.__code__)
    sys.setprofile(profile)
    for number in range(1, FRAMES + 1):
        info = CameraInfo(height=480, width=640, k=[520.0, 0.0, 320.0, 0.0, 520.0, 240.0, 0.0, 0.0, 1.0])
        info.p = [520.0, 0.0, 320.0, 0.0, 0.0, 520.0, 240.0, 0.0, 0.0, 0.0, 1.0, 0.0]
        image = Image(height=480, width=640, encoding="bgr8", step=1920, data=bytes(range(256)) * 3600)
        for message in (info, image):
            message.header.frame_id, message.header.stamp.sec = "camera", number
        infos.publish(info)
        _spin_until(executor, lambda: True, 0.5)  # the camera_info is heard first
        recorder.restart()
        images.publish(image)
        _spin_until(executor, lambda number=number: number in heard)
        _spin_until(executor, lambda: True, 0.5)  # the camera_info of the depth is published after the depth
    sys.setprofile(None)
    threading.setprofile(None)
    way = recorder.way
    loaded = {
        Path(module.__file__)
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] == PACKAGE.name and getattr(module, "__file__", None)
    }
    node.close()
    rclpy.shutdown()
    return {"way": way, "modules": sorted(str(path.relative_to(PACKAGE)) for path in loaded)}


def _spin_until(executor: Any, condition: Any, at_least_s: float = 0.0) -> None:
    began = time.monotonic()
    while not condition() or time.monotonic() < began + at_least_s:
        executor.spin_once(timeout_sec=0.05)
        assert time.monotonic() < began + TIMEOUT_S, f"waited {TIMEOUT_S} s in vain"


def measured_way() -> dict[str, Any]:
    """`frame_way` in a process of its own, which loads nothing but the node."""
    environment = {
        **os.environ, "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "ROS_LOCALHOST_ONLY": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, __file__, "--way"], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def figures() -> dict[str, Any]:
    """Everything that is measured: by group, a figure by its name."""
    way = measured_way()
    entered = Counter(called for caller, called, name in way["way"] if caller != called)
    by_folder = folders()
    package = [row for name, row in by_folder.items() if name.startswith(PACKAGE.name)]
    return {
        "package": {key: sum(row[key] for row in package) for key in ("files", "code lines")},
        "folder": {name: f"{row['files']} files, {row['code lines']} lines" for name, row in by_folder.items()},
        "robot": {
            "files": len(way["modules"]),
            "code lines": sum(code_lines(PACKAGE / name) for name in way["modules"]),
        },
        "frame": {
            "calls": len(way["way"]),
            "files": len({called for _, called, _ in way["way"]}),
            "moves between files": entered.total(),
        },
        "entered": dict(entered.most_common()),
        "count": counts(),
    }


def drawn(way: list[list[str]]) -> str:
    """Table of a frame's way: each file in the order of its first call, what it holds, the functions called in it."""
    functions: dict[str, dict[str, None]] = {}
    for _, called, name in way:
        functions.setdefault(called, {})[name] = None
    lines = ["| file | holds | functions called |", "|---|---|---|"]
    for file, names in functions.items():
        doc = ast.get_docstring(ast.parse((PACKAGE / file).read_text(encoding="utf-8"))) or ""
        called = ", ".join(f"`{name}`" for name in names)
        lines.append(f"| `{file}` | {doc.partition(chr(10))[0].rstrip('.')} | {called} |")
    return "\n".join(lines) + "\n"


def rows(found: dict[str, Any]) -> dict[str, str]:
    return {f"{group}: {name}": str(value) for group, inside in found.items() for name, value in inside.items()}


def with_column(text: str, column: str, values: dict[str, str]) -> str:
    """A page with one Markdown table, in which a column is replaced or added; the text around the table stays."""
    lines = text.splitlines()
    of_table = [number for number, line in enumerate(lines) if line.startswith("|")]
    first, last = (of_table[0], of_table[-1] + 1) if of_table else (len(lines), len(lines))
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[first:last]] or [["figure"], []]
    columns = table[0][1:]
    known = {row[0]: dict(zip(columns, row[1:])) for row in table[2:]}
    for row in known.values():
        row.pop(column, None)
    for name, value in values.items():
        known.setdefault(name, {})[column] = value
    columns = columns if column in columns else [*columns, column]
    new = [["figure", *columns], ["---"] * (len(columns) + 1)]
    groups = list(dict.fromkeys(name.partition(":")[0] for name in known))
    for name in sorted(known, key=lambda name: groups.index(name.partition(":")[0])):
        if any(known[name].values()):
            new.append([name, *(known[name].get(one, "") for one in columns)])
    body = ["| " + " | ".join(row) + " |" for row in new]
    return "\n".join([*lines[:first], *body, *lines[last:]]) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="JSON file to write the figures to")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="Markdown page whose table gets a column")
    parser.add_argument("--column", default="now", help="name of that column (default: %(default)s)")
    parser.add_argument("--draw", type=Path, metavar="PAGE", help="Markdown page to draw the way of a frame in")
    parser.add_argument("--way", action="store_true", help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    if parsed.way:
        print(json.dumps(frame_way()))
        return 0
    if parsed.draw:
        before, _, rest = parsed.draw.read_text().partition(BEGIN)
        parsed.draw.write_text(before + BEGIN + drawn(measured_way()["way"]) + END + rest.partition(END)[2])
        return 0
    found = figures()
    table = rows(found)
    print("\n".join(f"{name:<48}{value}" for name, value in table.items()))
    if parsed.json:
        parsed.json.write_text(json.dumps(found, indent=2) + "\n")
    if parsed.write:
        parsed.write.write_text(with_column(parsed.write.read_text(), parsed.column, table))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
