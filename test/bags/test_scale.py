"""Many frames, many bags, many workers: the same messages as one after the other."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from processes import environment
from recorded import BAGS, IMAGE_TOPIC, INFO_TOPIC, LONG_PERIOD_NS, LONG_START_NS, TEXT_TOPIC, write_long
from rosbags.rosbag2 import StoragePlugin
from running import arguments, raw_messages, read_bag, run_bag

from fastdepth_ros.bags import writer
from fastdepth_ros.bags.camera import image_connections
from fastdepth_ros.bags.reader import open_bag, recorded_times
from fastdepth_ros.bags.writer import PartsFolder
from fastdepth_ros.depth.camera_info import stamp_ns

ROOT = Path(__file__).resolve().parent.parent.parent


def start(bag: Path, out: Path, model: Path, *more: object) -> subprocess.Popen:
    """The verb in a process of its own, with a process group of its own."""
    command = [sys.executable, "-m", "fastdepth_ros", *arguments(bag, out, model, *more)]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def parts(out: Path) -> int:
    return len(list((out.parent / f".{out.name}.parts").glob("*.json"))) - 1  # job.json


def kill_and_resume(bag: Path, out: Path, model: Path, kills: list[int], total: int) -> list[int]:
    """Kill -9 once there are so many parts, each time; then let it end. Returns the parts that each kill left."""
    left = []
    for wanted in kills:
        running = start(bag, out, model, "--workers", 2)
        while parts(out) < wanted:
            assert running.poll() is None, "it ended before it could be killed"
            time.sleep(0.002)
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        os.kill(running.pid, signal.SIGKILL)
        running.communicate()
        require_dead([int(child) for child in children])
        left.append(parts(out))
        assert not out.exists()
        assert 0 < left[-1] < total
    running = start(bag, out, model, "--workers", 2)
    summary = json.loads(running.communicate()[0])
    assert running.returncode == 0
    assert summary["frames_out"] == summary["frames_in"] == len(read_times(bag))
    return left


def read_times(bag: Path) -> np.ndarray:
    with open_bag(bag) as reader:
        return recorded_times(reader, image_connections(reader, IMAGE_TOPIC))


def test_a_killed_run_goes_on_to_the_very_messages_of_one_that_was_not(tmp_path, artifact_folder):
    bag = write_long(tmp_path / "in", 320)
    assert run_bag(bag, tmp_path / "whole", artifact_folder) == 0
    kill_and_resume(bag, tmp_path / "killed", artifact_folder, [2], total=10)
    assert raw_messages(tmp_path / "killed") == raw_messages(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "killed", "whole"]


@pytest.mark.slow
def test_two_thousand_frames_killed_three_times_are_the_very_same(tmp_path):
    model = ROOT / "models" / "fastdepth-pruned"
    bag = write_long(tmp_path / "in", 2000)
    assert run_bag(bag, tmp_path / "whole", model) == 0
    kills = sorted(random.SystemRandom().sample(range(1, 60), 3))
    print("killed after", kills, "of 63 parts")
    left = kill_and_resume(bag, tmp_path / "killed", model, kills, total=63)
    assert left == sorted(left)  # each run went on from the parts of the one before
    whole = raw_messages(tmp_path / "whole")
    assert len(whole) == 4000
    assert raw_messages(tmp_path / "killed") == whole


def require_dead(pids: list[int]) -> None:
    """The workers of a killed run end by themselves."""
    assert len(pids) >= 2
    deadline = time.monotonic() + 20
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline, f"of {pids}, some live on"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_same_command_again_says_what_it_did_and_does_nothing(tmp_path, mcap_bag, artifact_folder, capsys):
    run_bag(mcap_bag, tmp_path / "out", artifact_folder)
    first = json.loads(capsys.readouterr().out)
    written = (tmp_path / "out" / "out.mcap").stat().st_mtime_ns
    assert run_bag(mcap_bag, tmp_path / "out", artifact_folder) == 0
    again = json.loads(capsys.readouterr().out)
    assert {**first, "seconds": 0} == {**again, "seconds": 0}
    assert (tmp_path / "out" / "out.mcap").stat().st_mtime_ns == written
    assert run_bag(mcap_bag, tmp_path / "out", artifact_folder, "--output-size", "camera") == 1
    assert "exists" in capsys.readouterr().err


def test_of_two_runs_at_once_one_is_refused(tmp_path, mcap_bag, artifact_folder, capsys):
    folder = PartsFolder(tmp_path / "out", {})
    folder.claim_parts()
    assert run_bag(mcap_bag, tmp_path / "out", artifact_folder) == 1
    folder.release()
    assert "another run is writing" in capsys.readouterr().err


@pytest.mark.parametrize("compress", ["", "STORAGE", "MESSAGE", "FILE"])
def test_compressed_bags_give_the_depth_of_plain_ones(tmp_path, artifact_folder, compress):
    plain = write_long(tmp_path / "plain", 40)
    packed = write_long(tmp_path / "packed", 40, compress=compress) if compress else split(plain, tmp_path / "packed")
    for name, bag in (("a", plain), ("b", packed)):
        assert run_bag(bag, tmp_path / name, artifact_folder) == 0
    assert raw_messages(tmp_path / "a") == raw_messages(tmp_path / "b")


def split(bag: Path, path: Path) -> Path:
    """The same recording in two files of one bag."""
    path.mkdir()
    metadata = yaml.safe_load((bag / "metadata.yaml").read_text())
    information = metadata["rosbag2_bagfile_information"]
    everything = raw_messages(bag)
    names = []
    for number, piece in enumerate((everything[:50], everything[50:])):
        half = write_pieces(path.parent / f"half{number}", piece)
        names.append(f"packed_{number}.mcap")
        next(half.glob("*.mcap")).rename(path / names[-1])
    information["relative_file_paths"] = names
    information["files"] = []
    (path / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    return path


def write_pieces(path: Path, pieces: list) -> Path:
    from rosbags.rosbag2 import Writer
    from rosbags.typesys import Stores, get_typestore

    types = get_typestore(Stores.ROS2_HUMBLE)
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {}
        for topic, kind, recorded_ns, raw in pieces:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=types)
            writer.write(connections[topic], recorded_ns, raw)
    return path


def test_ros1_sqlite3_and_zstd_mcap_of_one_recording_give_identical_depth(tmp_path, artifact_folder):
    from recorded import write_rosbag2

    bags = {name: make(tmp_path) for name, make in BAGS.items()}
    bags["zstd"] = write_rosbag2(tmp_path / "zstd", StoragePlugin.MCAP, zstd=True)
    found = {}
    for name, bag in bags.items():
        assert run_bag(bag, tmp_path / "out" / name, artifact_folder) == 0
        found[name] = [one[2:] for one in raw_messages(tmp_path / "out" / name) if one[0] == "/depth/image"]
    assert len(found["mcap"]) == 4
    assert found["mcap"] == found["sqlite3"] == found["ros1"] == found["zstd"]


def test_zstd_makes_the_new_bag_smaller_and_no_different(tmp_path, artifact_folder):
    bag = write_long(tmp_path / "in", 40)
    run_bag(bag, tmp_path / "plain", artifact_folder)
    run_bag(bag, tmp_path / "packed", artifact_folder, "--zstd")
    assert raw_messages(tmp_path / "packed") == raw_messages(tmp_path / "plain")
    size = {name: (tmp_path / name / f"{name}.mcap").stat().st_size for name in ("plain", "packed")}
    assert size["packed"] < 0.9 * size["plain"]


def test_start_end_every_and_rate_choose_frames(tmp_path, artifact_folder):
    bag = write_long(tmp_path / "in", 61)
    numbers = {}
    for name, options in {
        "part": ("--start", 0.5, "--end", 1.0),
        "every": ("--every", 20),
        "rate": ("--rate", 10),
    }.items():
        assert run_bag(bag, tmp_path / name, artifact_folder, *options) == 0
        stamps = [stamp_ns(message) for _, message in read_bag(tmp_path / name)["/depth/image"]]
        numbers[name] = [(stamp - LONG_START_NS) // LONG_PERIOD_NS for stamp in stamps]
    assert numbers["part"] == list(range(16, 31))
    assert numbers["every"] == [0, 20, 40, 60]
    assert numbers["rate"] == list(range(0, 61, 3))


def test_copied_topics_come_along_as_they_are_in_the_order_of_recording(tmp_path, artifact_folder):
    bag = write_long(tmp_path / "in", 70)
    assert run_bag(bag, tmp_path / "out", artifact_folder, "--copy", TEXT_TOPIC) == 0
    found, given = raw_messages(tmp_path / "out"), raw_messages(bag)
    assert [one for one in found if one[0] == TEXT_TOPIC] == [one for one in given if one[0] == TEXT_TOPIC]
    assert {one[0] for one in found} == {TEXT_TOPIC, "/depth/image", "/depth/camera_info"}
    assert [one[2] for one in found] == sorted(one[2] for one in found)
    options = ("--copy", TEXT_TOPIC, "--copy", "/camera/*")
    assert run_bag(bag, tmp_path / "all", artifact_folder, *options) == 0
    assert [one for one in raw_messages(tmp_path / "all") if not one[0].startswith("/depth")] == given


def test_copied_topics_of_a_ros1_bag_become_ros2s(tmp_path, artifact_folder):
    bag = BAGS["ros1"](tmp_path)
    assert run_bag(bag, tmp_path / "out", artifact_folder, "--copy", INFO_TOPIC) == 0
    copied = read_bag(tmp_path / "out")[INFO_TOPIC]
    assert [message.k[0] for _, message in copied] == [130.0] * 4
    assert [stamp_ns(message) for _, message in copied] == [recorded_ns for recorded_ns, _ in copied]


def test_a_topic_to_copy_that_there_is_not_is_told(tmp_path, mcap_bag, artifact_folder, capsys):
    assert run_bag(mcap_bag, tmp_path / "out", artifact_folder, "--copy", "/tf") == 1
    error = capsys.readouterr().err
    assert "no topic /tf to copy" in error and INFO_TOPIC in error


def test_each_frame_has_its_own_camera_info_though_it_is_recorded_later(tmp_path, artifact_folder):
    run_bag(write_long(tmp_path / "in", 70), tmp_path / "out", artifact_folder)
    infos = [message for _, message in read_bag(tmp_path / "out")["/depth/camera_info"]]
    scale = 224 / 58  # crop of 48 x 64: 58 wide
    assert [round(info.k[0] / scale) for info in infos] == [50 + number % 5 for number in range(70)]


def test_a_folder_of_bags_becomes_one_and_a_bag_that_fails_harms_no_other(tmp_path, artifact_folder, capsys):
    write_long(tmp_path / "in" / "monday" / "one", 40)
    BAGS["ros1"](tmp_path / "in")
    (tmp_path / "in" / "broken.mcap").write_bytes(b"\x89MCAP0\r\n broken")
    assert run_bag(tmp_path / "in", tmp_path / "out", artifact_folder, "--workers", 2) == 1
    shown = capsys.readouterr()
    assert "1 of 3 bags failed" in shown.err and "broken.mcap" in shown.err
    summary = json.loads(shown.out)
    assert {Path(out).name: one["frames_out"] for out, one in summary["bags"].items()} == {"one": 40, "old": 4}
    assert len(read_bag(tmp_path / "out" / "monday" / "one")["/depth/image"]) == 40
    (tmp_path / "in" / "broken.mcap").unlink()
    assert run_bag(tmp_path / "in" / "**", tmp_path / "out2", artifact_folder) == 0
    assert sorted(path.name for path in (tmp_path / "out2").iterdir()) == ["old", "one"]


def test_several_bags_can_become_one(tmp_path, artifact_folder):
    whole = raw_messages(write_long(tmp_path / "whole", 60))
    run_bag(tmp_path / "whole", tmp_path / "expected", artifact_folder)
    for name, piece in (("b", whole[:90]), ("a", whole[90:])):  # their order is that of recording, not of names
        write_pieces(tmp_path / "in" / name, piece)
    for _ in range(2):  # the second time, the folder holds the result too
        assert run_bag(tmp_path / "in", tmp_path / "in" / "out", artifact_folder, "--join") == 0
    assert raw_messages(tmp_path / "in" / "out") == raw_messages(tmp_path / "expected")


TIMES = {
    "starting_time": {"nanoseconds_since_epoch": int},
    "duration": {"nanoseconds": int},
    "message_count": int,
}
TOPIC = dict.fromkeys(
    ("name", "type", "serialization_format", "offered_qos_profiles", "type_description_hash"), str
)  # before version 9, the QoS is YAML in a text
ROSBAG2_V8 = {  # what rosbag2_storage/yaml.hpp decodes of version 8; an older reader takes a part of it
    "version": int,
    "storage_identifier": str,
    **TIMES,
    "topics_with_message_count": [{"topic_metadata": TOPIC, "message_count": int}],
    "compression_format": str,
    "compression_mode": str,
    "relative_file_paths": [str],
    "files": [{"path": str, **TIMES}],
    "custom_data": {},
    "ros_distro": str,
}


def complaints(value: object, wanted: object, name: str = "metadata") -> Iterator[str]:
    """What is missing, too much, or of another type."""
    if isinstance(wanted, list):
        for one in value:
            yield from complaints(one, wanted[0], f"{name}[]")
    elif not isinstance(wanted, dict):
        if type(value) is not wanted:
            yield f"{name} is {value!r}"
    elif wanted:
        if value.keys() != wanted.keys():
            yield f"{name} has {sorted(value)}"
        for key, kind in wanted.items():
            yield from complaints(value[key], kind, f"{name}.{key}")
    elif not all(isinstance(text, str) for text in (value or {}).values()):
        yield f"{name} is {value!r}"


@pytest.mark.parametrize("plugin", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_a_long_result_is_a_split_bag_that_every_reader_reads_as_one(tmp_path, artifact_folder, plugin, monkeypatch):
    bag = write_long(tmp_path / "in", 40, plugin=plugin)
    options = ("--copy", TEXT_TOPIC, "--workers", 1)
    assert run_bag(bag, tmp_path / "whole", artifact_folder, *options) == 0
    monkeypatch.setattr(writer, "FILE_BYTES", 3 << 20)  # 15 depth images
    assert run_bag(bag, tmp_path / "out", artifact_folder, *options) == 0
    suffix = {StoragePlugin.MCAP: ".mcap", StoragePlugin.SQLITE3: ".db3"}[plugin]
    names = [f"out_{number}{suffix}" for number in range(3)]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["metadata.yaml", *names]
    expected = raw_messages(tmp_path / "whole")
    assert raw_messages(tmp_path / "out") == expected
    with open_bag(tmp_path / "out") as reader:
        ours = [(c.topic, c.msgtype, recorded_ns, bytes(raw)) for c, recorded_ns, raw in reader.messages()]
        assert (ours, reader.message_count, reader.notes) == (expected, len(expected), [])
    metadata = yaml.safe_load((tmp_path / "out" / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert metadata["relative_file_paths"] == [one["path"] for one in metadata["files"]] == names
    times = []
    for one in metadata["files"]:  # each is what it says, and can be read alone
        alone = raw_messages(tmp_path / "out" / one["path"])
        start = one["starting_time"]["nanoseconds_since_epoch"]
        assert (start, start + one["duration"]["nanoseconds"]) == (alone[0][2], alone[-1][2])
        assert one["message_count"] == len(alone)
        times += [message[2] for message in alone]
    assert times == sorted(times) and metadata["message_count"] == len(times) == len(expected)
    assert metadata["duration"]["nanoseconds"] == times[-1] - times[0]
    assert not list(complaints(metadata, ROSBAG2_V8))
    counts = {one["topic_metadata"]["name"]: one["message_count"] for one in metadata["topics_with_message_count"]}
    assert counts == {"/depth/image": 40, "/depth/camera_info": 40, TEXT_TOPIC: 40}


def test_recordings_that_overlap_are_joined_by_time(tmp_path, artifact_folder, monkeypatch):
    whole = raw_messages(write_long(tmp_path / "whole", 40))
    run_bag(tmp_path / "whole", tmp_path / "expected", artifact_folder)
    for name, piece in (("a", whole[::2]), ("b", whole[1::2])):
        write_pieces(tmp_path / "in" / name, piece)
    monkeypatch.setattr(writer, "FILE_BYTES", 3 << 20)
    assert run_bag(tmp_path / "in", tmp_path / "out", artifact_folder, "--join") == 0
    files = sorted((tmp_path / "out").glob("*.mcap"))
    times = [message[2] for file in files for message in raw_messages(file)]
    assert len(files) > 1 and times == sorted(times)
    assert {one[2] for one in raw_messages(tmp_path / "out") if one[0] == "/depth/image"} == {
        one[2] for one in whole if one[0] == IMAGE_TOPIC
    }


def test_two_bags_of_one_name_are_refused(tmp_path, artifact_folder, capsys):
    for day in ("monday", "tuesday"):
        BAGS["mcap"](tmp_path / day)
    assert run_bag(tmp_path / "*" / "mcap", tmp_path / "out", artifact_folder) == 1
    assert "would both become mcap" in capsys.readouterr().err
    assert run_bag(tmp_path / "*" / "nothing", tmp_path / "out", artifact_folder) == 1
    assert "no bag matches" in capsys.readouterr().err
