"""One registry for all plug-ins, and backends of other distributions."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.registry import Registry

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "doc" / "backend_plugin.md"
MIRROR = """
import numpy as np
from fastdepth_ros.backends.onnxruntime import OnnxRuntimeBackend

class Mirror(OnnxRuntimeBackend):
    def infer(self, pixels):
        return super().infer(np.ascontiguousarray(pixels))
"""
LOOKUP = """
import numpy as np

class Lookup:
    '''Depth by the red of a pixel; its file is a table that numpy.save wrote.'''
    model_format, module, install = "table", "numpy", "pip install numpy"

    def __init__(self, model, options):
        self._depth_of = np.load(model.path)
        self.engine, self.computes, self.channels = "lookup 1.0 (cpu)", options.precision, "rgb"

    def infer(self, pixels):
        return self._depth_of[pixels[..., 0]]

class WithoutEngine(Lookup):
    module, install = "no_such_engine", "pip install no-such-engine"
"""
VERBS = "import json, sys; from fastdepth_ros.cli import main; print([main(each) for each in json.loads(sys.argv[1])])"
VERB = "import sys; from fastdepth_ros.cli import main; sys.exit(main(sys.argv[1:]))"
SCRIPT = """
import sys
from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.backends import BackendError, backend_class, backend_names
print(*backend_names())
print("imported", "fastdepth_plugins" in sys.modules)
print(find_artifact(sys.argv[1]).load("mirror").engine)
for name in ("broken", "bare", "absent", "unknown"):
    try:
        backend_class(name)
    except BackendError as error:
        print(error)
"""


def install(folder: Path, name: str, module: str, source: str, entries: dict[str, str]) -> Path:
    """A distribution made as a wheel, and installed by pip into a folder of its own."""
    folder.mkdir()
    wheel, info = folder / f"{module}-1.0-py3-none-any.whl", f"{module}-1.0.dist-info"
    points = "".join(f"{key} = {value}\n" for key, value in entries.items())
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{module}.py", source)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/entry_points.txt", f"[fastdepth_ros.backends]\n{points}")
        archive.writestr(f"{info}/RECORD", "")
    site = folder / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*pip, "--target", site, wheel], check=True, capture_output=True, timeout=120)
    return site


def run_with(site: Path, script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(site), str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, timeout=60,
        check=False, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip


def test_an_unknown_name_lists_the_known_ones():
    tools = Registry[str]("tool")
    tools.register("saw")("a saw")
    tools.register("file")("a file")
    with pytest.raises(FastDepthError, match="unknown tool 'axe'; there is saw, file"):
        tools["axe"]
    assert tools.names() == list(tools) == ["saw", "file"]
    assert "saw" in tools and "axe" not in tools


def test_the_backends_of_another_distribution_are_found_by_entry_point(artifact_folder, tmp_path):
    entries = {
        "mirror": "fastdepth_plugins:Mirror",
        "onnxruntime": "fastdepth_plugins:Mirror",
        "broken": "fastdepth_plugins:NoSuchClass",
        "bare": "fastdepth_plugins:np",
        "absent": "no_such_module:Backend",
    }
    site = install(tmp_path / "dist", "fastdepth-plugins", "fastdepth_plugins", MIRROR, entries)
    done = run_with(site, SCRIPT, artifact_folder)
    assert done.returncode == 0, done.stderr
    names, imported, engine, broken, bare, absent, unknown = done.stdout.splitlines()
    assert names == "absent bare broken litert mirror onnxruntime openvino pytorch tvm"
    assert imported == "imported False"
    assert engine.startswith("onnxruntime")
    assert "'onnxruntime' of distribution fastdepth-plugins is left out: that name is taken" in done.stderr
    assert broken.startswith("backend 'broken' of distribution fastdepth-plugins cannot be loaded: AttributeError")
    assert "lacks model_format, module, install, infer" in bare
    assert absent.startswith("backend 'absent' of distribution fastdepth-plugins cannot be loaded: ModuleNotFoundError")
    assert "unknown backend 'unknown'; there is absent (broken), bare (broken), broken (broken), litert" in unknown


def test_the_backend_of_the_page_runs_a_verb(artifact_folder, tmp_path):
    """The page's own class and entry point, installed."""
    import numpy as np

    text = PAGE.read_text()
    (source,) = re.findall(r"```python\n(.*?)```", text, re.S)
    ((name, value),) = re.findall(r'^(\w+) = "(fastdepth_opencv:\w+)"$', text, re.M)
    site = install(tmp_path / "dist", "fastdepth-opencv", "fastdepth_opencv", source, {name: value})
    np.save(tmp_path / "rgb.npy", np.zeros((64, 64, 3), np.uint8))
    options = ["--model", artifact_folder, "--backend", name, "--out", tmp_path / "depth.npy"]
    done = run_with(site, VERB, "image", tmp_path / "rgb.npy", *options)
    assert done.returncode == 0, done.stderr
    assert np.isfinite(np.load(tmp_path / "depth.npy")).all()


def test_an_installed_backend_is_listed_loaded_or_refused_without_a_file(artifact_folder, tmp_path):
    import numpy as np

    entries = {"lookup": "fastdepth_lookup:Lookup", "engineless": "fastdepth_lookup:WithoutEngine"}
    site = install(tmp_path / "dist", "fastdepth-lookup", "fastdepth_lookup", LOOKUP, entries)
    np.save(tmp_path / "table.npy", np.linspace(1, 5, 256, dtype=np.float32))
    rgb = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    np.save(tmp_path / "rgb.npy", rgb)
    add = ["models", "add", tmp_path / "table.npy", "--model", artifact_folder, "--backend", "lookup"]
    image = ["image", tmp_path / "rgb.npy", "--field-of-view", "full", "--force", "--out", tmp_path / "depth.npy"]
    int8, added = ["--precision", "int8"], tmp_path / "added"
    commands = {
        "a table is another network": (1, [*add, *int8, "--out", added]),
        "added": (0, [*add, *int8, "--out", added, "--tolerance", 100]),
        "computed": (0, [*image, "--model", added, *int8, "--backend", "lookup"]),
        "no file": (1, [*image, "--model", artifact_folder, "--backend", "lookup"]),
        "no engine": (1, [*image, "--model", added, *int8, "--backend", "engineless"]),
        "listed": (1, [*image, "--backend", "unknown"]),
    }
    done = run_with(site, VERBS, json.dumps([list(map(str, command)) for _, command in commands.values()]))
    assert done.stdout.splitlines()[-1] == str([code for code, _ in commands.values()]), done.stderr
    assert f"{added}: tiny with table.npy for lookup too; off from its golden depth by" in done.stdout
    for said in (
        "table.npy does not compute tiny; a larger --tolerance accepts it",
        "tiny has no table file, it has onnx, safetensors; `fastdepth models add` adds one",
        "backend 'engineless' is not installed: pip install no-such-engine",
        "there is engineless (not installed: pip install no-such-engine), litert",
    ):
        assert said in done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "depth.npy"), 1 + rgb[..., 0] / 255 * 4, rtol=1e-5)
