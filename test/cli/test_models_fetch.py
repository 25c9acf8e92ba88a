"""`fastdepth models fetch` from a server on this machine: whole, cut, without ranges, wrong, or not there at all."""

from __future__ import annotations

import hashlib
import http.server
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fastdepth_ros.artifact.catalog import find_entry, read_catalog
from fastdepth_ros.artifact.download import LARGEST_BYTES, TRIES, download
from fastdepth_ros.cli import main
from fastdepth_ros.errors import FastDepthError

CHANNELS = {"encoder": [2, 3, 4, 5, 4, 6, 5, 4, 3, 2, 3, 4, 5, 6], "decoder": [4, 6, 5, 3, 2]}
CONTENT = bytes(range(256)) * 1000


@dataclass
class Server:
    """Server for downloads, with the failures that it is told to show.

    Attributes:
        cuts: after how many bytes each of the first answers ends; None for one that does not.
        statuses: of the first answers, before the usual ones.
        asked: the Range header of each request.
    """

    address: str = ""
    content: bytes = CONTENT
    kind: str = "application/octet-stream"
    ranges: bool = True
    says_length: bool = True
    cuts: list[int | None] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)

    def url(self, name: str = "model.pth.tar") -> str:
        return f"http://{self.address}/{name}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    serves = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            asked = self.headers["Range"]
            serves.asked.append(asked)
            status = serves.statuses.pop(0) if serves.statuses else 200
            if status != 200 or "missing" in self.path:
                self.send_error(status if status != 200 else 404)
                return
            start = int(asked[len("bytes=") : -1]) if asked and serves.ranges else 0
            if start >= len(serves.content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(serves.content)}")
                self.end_headers()
                return
            rest = serves.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Type", serves.kind)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(serves.content) - 1}/{len(serves.content)}")
            if serves.says_length:
                self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            cut = serves.cuts.pop(0) if serves.cuts else None
            with suppress(ConnectionError):
                self.wfile.write(rest[:cut])

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serves.address = f"127.0.0.1:{listening.server_address[1]}"
    thread = threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield serves
    listening.shutdown()
    listening.server_close()
    thread.join()


def fetch(server: Server, path: Path, **options: Any) -> bytes:
    return download([server.url()], path, Path.read_bytes, pause_s=0, **options)


# --- the file ---------------------------------------------------------------------------------------------------------


def test_a_whole_file_gets_its_name_and_leaves_no_partial_one(server, tmp_path):
    assert fetch(server, tmp_path / "folder" / "file") == CONTENT
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["file"]
    assert server.asked == [None]


@pytest.mark.parametrize("cuts", [[1000], [1000, 0, 50_000], [0, 0, 200_000]])
def test_a_cut_file_goes_on_from_where_it_was_cut(server, tmp_path, cuts):
    server.cuts = list(cuts)
    assert fetch(server, tmp_path / "file") == CONTENT
    assert server.asked[-1] == f"bytes={sum(cuts)}-"
    assert len(server.asked) == len(cuts) + 1


def test_a_later_call_goes_on_from_what_an_earlier_one_left(server, tmp_path):
    server.cuts = [70_000] + [0] * (TRIES - 1)
    with pytest.raises(FastDepthError, match=f"was cut {TRIES} times .70000 of 256000 bytes came.; call again"):
        fetch(server, tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file.partial"]
    assert fetch(server, tmp_path / "file") == CONTENT
    assert server.asked[-1] == "bytes=70000-"


def test_a_server_without_ranges_begins_anew(server, tmp_path):
    server.cuts, server.ranges = [1000, 2000], False
    assert fetch(server, tmp_path / "file") == CONTENT


def test_a_server_that_says_no_length_is_read_to_the_end(server, tmp_path):
    server.says_length = False
    assert fetch(server, tmp_path / "file") == CONTENT


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.statuses = [503, 429]
    assert fetch(server, tmp_path / "file") == CONTENT


def test_what_was_whole_already_is_not_fetched_again(server, tmp_path):
    (tmp_path / "file.partial").write_bytes(CONTENT)
    assert fetch(server, tmp_path / "file") == CONTENT
    assert fetch(server, tmp_path / "file") == CONTENT
    assert server.asked == [f"bytes={len(CONTENT)}-"]


def test_a_partial_file_longer_than_the_file_is_dropped(server, tmp_path):
    (tmp_path / "file.partial").write_bytes(CONTENT * 2)
    assert fetch(server, tmp_path / "file") == CONTENT


def test_the_next_address_is_tried_where_one_has_nothing(server, tmp_path):
    urls = [server.url("missing"), server.url()]
    assert download(urls, tmp_path / "file", Path.read_bytes) == CONTENT


def test_the_right_sha256_passes_and_a_wrong_one_leaves_nothing(server, tmp_path):
    right = hashlib.sha256(CONTENT).hexdigest()
    assert fetch(server, tmp_path / "right", sha256=right) == CONTENT
    with pytest.raises(FastDepthError, match=f"has sha256 {right}, the catalog says 0000"):
        fetch(server, tmp_path / "wrong", sha256="0" * 64)
    assert [path.name for path in tmp_path.iterdir()] == ["right"]


def test_a_file_that_fails_its_check_leaves_nothing(server, tmp_path):
    def check(_: Path) -> None:
        raise ValueError("not this one")

    with pytest.raises(ValueError, match="not this one"):
        download([server.url()], tmp_path / "file", check)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_too_large_is_not_fetched(server, tmp_path, monkeypatch):
    monkeypatch.setattr("fastdepth_ros.artifact.download.LARGEST_BYTES", 1000)
    with pytest.raises(FastDepthError, match="has 256000 bytes, .* at most 1000"):
        fetch(server, tmp_path / "file")
    server.says_length = False
    with pytest.raises(FastDepthError, match="sends more than 1000 bytes"):
        fetch(server, tmp_path / "file")
    assert not list(tmp_path.iterdir())
    assert LARGEST_BYTES > 64e6 * 4  # float32 weights of the paper's largest network


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "http://", "x.pth.tar"])
def test_only_http_and_https_are_fetched(tmp_path, url):
    with pytest.raises(FastDepthError, match="is no http or https address"):
        download([url], tmp_path / "file", Path.read_bytes)


# --- the verb ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small FastDepth as torch saves it."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from fastdepth_ros.nn.channels import Channels
    from fastdepth_ros.nn.network import FastDepth, initialize

    network = FastDepth(Channels.from_mapping(CHANNELS))
    initialize(network, mean_depth_m=2.0)
    path = tmp_path_factory.mktemp("checkpoint") / "small.pth.tar"
    torch.save({"epoch": 1, "state_dict": network.state_dict()}, path)
    return path.read_bytes()


def catalog(folder: Path, server: Server, **changes: Any) -> str:
    entry = {
        "name": "small",
        "variant": "mobilenet-nnconv5dw-skipadd",
        "urls": [server.url("small.pth.tar")],
        "sha256": None,
        "channels": CHANNELS,
        "accuracy": {"set": "a set", "rmse_m": 0.6, "delta1": 0.7, "source": "a table"},
        "training_data": "some data",
        "licence": "some licence",
        **changes,
    }
    path = folder / "catalog.json"
    path.write_text(json.dumps({"version": 1, "models": [entry]}))
    return str(path)


def call(folder: Path, server: Server, *options: str, **changes: Any) -> int:
    out = folder / "models" / "small"
    arguments = ["fetch", "small", "--out", str(out), "--catalogue", catalog(folder, server, **changes), *options]
    return main(["models", *arguments])


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "models").glob("*"))


def test_a_published_model_becomes_an_artifact_though_the_line_was_cut(server, tmp_path, checkpoint, capsys):
    server.content, server.cuts = checkpoint, [len(checkpoint) // 2]
    assert call(tmp_path, server) == 0
    assert server.asked == [None, f"bytes={len(checkpoint) // 2}-"]
    assert left(tmp_path) == ["small", "small.pth.tar"]
    manifest = json.loads((tmp_path / "models" / "small" / "manifest.json").read_text())
    assert manifest["channels"] == CHANNELS
    assert manifest["source"] == server.url("small.pth.tar")
    assert manifest["source_sha256"] == hashlib.sha256(checkpoint).hexdigest()
    assert (manifest["licence"], manifest["training_data"]) == ("some licence", "some data")
    assert manifest["published_accuracy"]["delta1"] == 0.7
    assert main(["models", "verify", str(tmp_path / "models" / "small")]) == 0
    assert "onnxruntime" in capsys.readouterr().out


def test_a_model_is_measured_on_a_set_that_the_user_names(server, tmp_path, checkpoint, capsys):
    server.content = checkpoint
    root = tmp_path / "set"
    (root / "rgb").mkdir(parents=True)
    (root / "depth").mkdir()
    cv2.imwrite(str(root / "rgb" / "0001.jpg"), np.full((480, 640, 3), 128, np.uint8))
    cv2.imwrite(str(root / "depth" / "0001.png"), np.full((480, 640), 51, np.uint8))  # 2 m, the network's start
    (root / "split.csv").write_text("index,split\n1,test\n")
    options = ("--dataset", "nyu-labeled", "--root", str(root))
    accuracy = {"set": "a set", "delta1": 1.03}
    assert call(tmp_path, server, *options, accuracy=accuracy) == 1
    assert "small has delta1" in capsys.readouterr().err
    assert left(tmp_path) == []
    assert call(tmp_path, server, *options, accuracy={**accuracy, "delta1": 0.5}) == 0
    assert "0.500 was published (a set)" in capsys.readouterr().out
    assert left(tmp_path) == ["small", "small.pth.tar"]


def test_wrong_files_are_refused_in_one_line_and_leave_nothing(server, tmp_path, checkpoint, capsys):
    other = {**CHANNELS, "encoder": [4, *CHANNELS["encoder"][1:]]}
    cases: list[tuple[bytes, str, dict[str, Any], str]] = [
        (b"<html>log in</html>", "text/html", {}, "answered with a web page, not with a model"),
        (b"<html>log in</html>", "application/x-tar", {}, "is a web page: it begins with b'<html>"),
        (checkpoint, "application/x-tar", {"sha256": "0" * 64}, "the catalog says 0000"),
        (checkpoint, "application/x-tar", {"channels": other}, "the catalog says Channels(encoder=(4, 3,"),
        (checkpoint, "application/x-tar", {"channels": "pruned"}, "the catalog says Channels(encoder=(16,"),
        (checkpoint[:-3000], "application/x-tar", {}, "is damaged"),
    ]
    for server.content, server.kind, changes, message in cases:
        assert call(tmp_path, server, **changes) == 1
        error = capsys.readouterr().err.rpartition("fastdepth models: ")[2]
        assert message in error and error.count("\n") == 1
        assert left(tmp_path) == []


@pytest.mark.needs("torch")
def test_a_missing_file_or_host_is_one_clear_sentence(server, tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        closed = listening.getsockname()[1]
    cases = {
        server.url("missing"): "cannot be had: the server answered 404",
        f"http://127.0.0.1:{closed}/x": "127.0.0.1 cannot be reached, are you offline",
        "http://nowhere.invalid/x": "nowhere.invalid cannot be reached, are you offline",
    }
    for url, message in cases.items():
        assert call(tmp_path, server, urls=[url]) == 1
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
        assert left(tmp_path) == []


@pytest.mark.needs("torch")
def test_nothing_is_fetched_where_it_could_not_be_used(server, tmp_path, capsys):
    assert call(tmp_path, server, "--dataset", "nyu-labeled") == 1
    assert call(tmp_path, server, "--dataset", "nyu-labeled", "--root", str(tmp_path)) == 1
    assert call(tmp_path, server, variant="resnet-upproj") == 1
    assert call(tmp_path, server, channels="thin") == 1
    (tmp_path / "models" / "small").mkdir(parents=True)
    assert call(tmp_path, server) == 1
    errors = capsys.readouterr().err
    for message in ("belong together", "split.csv", "is a resnet-upproj", "'thin', there is", "exists; choose"):
        assert message in errors
    assert server.asked == []


# --- the catalog ----------------------------------------------------------------------------------------------------


def test_the_package_lists_what_the_authors_published(capsys, monkeypatch, tmp_path):
    entries = read_catalog()
    assert [entry.name for entry in entries] == [
        "mobilenet-nnconv5", "mobilenet-nnconv5dw", "mobilenet-nnconv5dw-skipadd", "mobilenet-nnconv5dw-skipadd-pruned",
    ]  # fmt: skip
    for entry in entries:
        assert entry.urls == (f"http://datasets.lids.mit.edu/fastdepth/results/{entry.name}.pth.tar",)
    monkeypatch.setattr("fastdepth_ros.cli.models.share_folder", lambda: tmp_path)  # with or without bundled ones
    assert main(["models", "list"]) == 0
    assert re.search(r"skipadd-pruned +delta1 0.771 +code MIT", capsys.readouterr().out)
    with pytest.raises(FastDepthError, match="no 'x' in the catalog, it has mobilenet-nnconv5, "):
        find_entry("x", entries)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "no catalog of version 1"),
        ('{"version": 2}', "no catalog of version 1"),
        ('{"version": 1, "models": [{"name": "x"}]}', "an entry has name; it needs name, variant, urls"),
    ],
)
def test_a_catalog_that_is_none_is_refused(tmp_path, content, message):
    path = tmp_path / "catalog.json"
    path.write_text(content)
    with pytest.raises(FastDepthError, match=message):
        read_catalog(path)
    with pytest.raises(FastDepthError, match="no catalog at"):
        read_catalog(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "../x"}, "is no name for a file"),
        ({"sha256": "abc"}, "needs 64 hex digits or null"),
        ({"urls": []}, "at least one URL"),
        ({"accuracy": {}}, "delta1"),
    ],
)
def test_an_entry_that_could_not_be_fetched_is_refused(server, tmp_path, changes, message):
    with pytest.raises(FastDepthError, match=message):
        read_catalog(Path(catalog(tmp_path, server, **changes)))
