"""A job folder: resumed by the job that it was begun with, refused to another, locked against a second writer."""

from __future__ import annotations

import json
import os

import pytest

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.atomic_io import DamagedFileError
from fastdepth_ros.jobs.job_folder import JobFolder

JOB = {"model": "a", "size": (1, 2)}


def claimed(path, job=JOB, *, has_results=True, **names) -> JobFolder:
    folder = JobFolder(path, job, **names)
    folder.claim(has_results=has_results)
    return folder


def test_the_job_that_a_folder_was_begun_with_is_resumed(tmp_path):
    claimed(tmp_path / "new", has_results=False).release()
    assert json.loads((tmp_path / "new" / "job.json").read_text()) == {"model": "a", "size": [1, 2]}
    claimed(tmp_path / "new").release()
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["job.json"]


def test_another_job_is_refused_by_its_differing_keys_and_may_follow(tmp_path):
    claimed(tmp_path, has_results=False, kind="search").release()
    for other, keys in (({**JOB, "model": "b"}, "model"), ({"model": "a"}, "size"), ({**JOB, "more": 1}, "more")):
        with pytest.raises(FastDepthError, match=rf"another search \({keys} differ in job.json\).*another folder"):
            claimed(tmp_path, other, kind="search")
    claimed(tmp_path).release()  # a refusal leaves no lock
    claimed(tmp_path, {"model": "b"}, has_results=False).release()
    claimed(tmp_path, {"model": "b"}).release()


@pytest.mark.parametrize("content", [None, "", '{"model"', b"\xff\xfe"])
def test_results_of_an_unknown_job_are_refused_by_the_file(tmp_path, content):
    if content is not None:
        (tmp_path / "run.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DamagedFileError, match=r"run\.json.*remove this one to start anew"):
        claimed(tmp_path, file="run.json")
    claimed(tmp_path, file="run.json", has_results=False).release()


def test_a_second_writer_is_refused_until_the_first_releases(tmp_path):
    first = claimed(tmp_path, has_results=False)
    with pytest.raises(FastDepthError, match=f"another run is writing {tmp_path}"):
        claimed(tmp_path)
    first.release()
    first.release()
    claimed(tmp_path).release()


def test_a_folder_that_nobody_holds_any_more_is_free(tmp_path):
    first = claimed(tmp_path, has_results=False)
    del first
    claimed(tmp_path).release()


def test_a_forked_child_neither_keeps_nor_removes_the_lock(tmp_path):
    first = claimed(tmp_path, has_results=False)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(write)
        os.read(read, 1)  # until its parent is done
        first.release()
        os._exit(0)
    os.close(read)
    assert (tmp_path / "lock").exists()
    first.release()
    second = claimed(tmp_path)  # though the child lives
    os.close(write)
    os.waitpid(child, 0)
    assert (tmp_path / "lock").exists()
    second.release()
