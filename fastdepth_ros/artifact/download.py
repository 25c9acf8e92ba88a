"""Download of files: resumable, limited in size, and renamed to the final name after a check."""

from __future__ import annotations

import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from tqdm import tqdm

from fastdepth_ros.artifact.artifact import sha256_of
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import replace_durably

LARGEST_BYTES = 512 * 2**20
BLOCK_BYTES = 64 * 2**10
TIMEOUT_S = 30.0
TRIES = 6  # attempts after lost connections; the pause doubles after each
PAUSE_S = 1.0
TRY_AGAIN = (408, 429, 500, 502, 503, 504)
CUT = (http.client.HTTPException, ConnectionError, TimeoutError)

Checked = TypeVar("Checked")


class _CutError(Exception):
    """A lost connection after which another attempt may succeed."""


def download(
    urls: Sequence[str],
    path: Path,
    check: Callable[[Path], Checked],
    *,
    sha256: str | None = None,
    pause_s: float = PAUSE_S,
) -> Checked:
    """Download a file, check it, and rename it to `path`.

    The unfinished file is `path`.partial. A later call resumes it where the server supports ranges. A file that fails
    the check is removed. A file that exists at `path` is checked and not downloaded again.

    Args:
        urls: http or https addresses of the same file, tried in order.
        path: final path; missing folders are created.
        check: function that reads the unfinished file and raises an error if it is wrong.
        sha256: checksum of the file, if known.
        pause_s: pause after the first lost connection, seconds.

    Returns:
        Result of `check`.

    Raises:
        FastDepthError: server not reached, no such file, file too large, a web page, or another sha256.
        Exception: any error of `check`.
    """
    if path.exists():
        _check_sha256(path, sha256)
        return check(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    _fetch_any(urls, partial, pause_s)
    try:
        _check_sha256(partial, sha256)
        checked = check(partial)
    except Exception:
        partial.unlink(missing_ok=True)  # otherwise the next call would resume a wrong file
        raise
    replace_durably(partial, path)
    return checked


def _fetch_any(urls: Sequence[str], partial: Path, pause_s: float) -> None:
    for number, url in enumerate(urls, start=1):
        try:
            _fetch(url, partial, pause_s)
            return
        except FastDepthError:
            if number == len(urls):
                raise


def _fetch(url: str, partial: Path, pause_s: float) -> None:
    """Download a file in up to `TRIES` connections."""
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise FastDepthError(f"{url} is no http or https address")
    for attempt in range(TRIES):
        if attempt:
            time.sleep(pause_s * 2 ** (attempt - 1))
        try:
            _continue(url, partial)
            return
        except urllib.error.URLError as error:  # no connection at all
            cause: Exception = error
            if attempt == 0:
                host = urlsplit(url).hostname
                raise FastDepthError(f"{host} cannot be reached, are you offline? ({error.reason})") from error
        except (_CutError, *CUT) as error:
            cause = error
    raise FastDepthError(f"{url} was cut {TRIES} times ({cause}); call again to go on from {partial}") from cause


def _continue(url: str, partial: Path) -> None:
    """Resume the file in one connection, to its end or until the connection is lost."""
    have = partial.stat().st_size if partial.exists() else 0
    headers = {"User-Agent": "fastdepth_ros", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        response = _opener().open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        with error:
            _refused(url, partial, have, error)
        return
    with response:
        total = _total_bytes(url, response, have)
        if response.status != 206:
            have = 0  # a server without ranges sends the whole file
        got = _copy(url, response, partial, have, total)
    if total is not None and got < total:
        raise _CutError(f"{got} of {total} bytes came")


def _refused(url: str, partial: Path, have: int, error: urllib.error.HTTPError) -> None:
    if error.code == 416 and have:  # no byte follows: the file is complete, or another one
        if error.headers.get("Content-Range") == f"bytes */{have}":
            return
        partial.unlink()
        raise _CutError("what was there is longer than the file")
    if error.code in TRY_AGAIN:
        raise _CutError(f"the server answered {error.code} {error.reason}")
    raise FastDepthError(f"{url} cannot be had: the server answered {error.code} {error.reason}")


def _total_bytes(url: str, response: http.client.HTTPResponse, have: int) -> int | None:
    """Size of the whole file, None where the server does not say."""
    if response.headers.get_content_type() == "text/html":
        raise FastDepthError(f"{url} answered with a web page, not with a model; is a login page in between?")
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdigit() else None
    if response.status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != have:
            raise FastDepthError(f"{url} answered with {response.headers.get('Content-Range')!r}, not from byte {have}")
        total = int(found[2])
    if total is not None and total > LARGEST_BYTES:
        raise FastDepthError(f"{url} has {total} bytes, which no model here has, at most {LARGEST_BYTES}")
    return total


def _copy(url: str, response: http.client.HTTPResponse, partial: Path, have: int, total: int | None) -> int:
    """Append the response to the file; number of bytes in the file at the end."""
    name = urlsplit(url).path.rpartition("/")[2]
    bar = tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=name)
    with bar, partial.open("ab" if have else "wb") as file:
        while block := response.read(BLOCK_BYTES):
            have += len(block)
            if have > LARGEST_BYTES:
                partial.unlink()
                raise FastDepthError(f"{url} sends more than {LARGEST_BYTES} bytes, which no model here has")
            file.write(block)
            bar.update(len(block))
    return have


def _check_sha256(path: Path, sha256: str | None) -> None:
    found = sha256_of(path)
    if sha256 not in (None, found):
        raise FastDepthError(f"{path} has sha256 {found}, the catalog says {sha256}; remove it and fetch it again")


def _opener() -> urllib.request.OpenerDirector:
    """Opener for http and https alone, also after redirects."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler, urllib.request.UnknownHandler, urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler, urllib.request.HTTPDefaultErrorHandler, urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
    ):  # fmt: skip
        opener.add_handler(handler())
    return opener
