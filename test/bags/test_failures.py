"""Failures of a bag, a disk or a topic: reported in words, and finished work is kept."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from mcap.writer import IndexType
from mcap.writer import Writer as McapWriter
from processes import environment
from recorded import IMAGE_TOPIC, write_long, write_rosbag2
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from running import arguments, raw_messages, run_bag

from fastdepth_ros.cli import main

ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_bag_damaged_in_the_middle_keeps_the_parts_before(tmp_path, artifact_folder, capsys):
    bag = write_long(tmp_path / "in", 200)
    file = bag / "in.mcap"
    whole = file.read_bytes()
    middle = len(whole) * 3 // 4
    file.write_bytes(whole[:middle] + b"\xa5" * 20_000 + whole[middle + 20_000 :])
    assert run_bag(bag, tmp_path / "out", artifact_folder) == 1
    error = capsys.readouterr().err
    assert str(bag) in error and "damaged" in error and "parts are kept in" in error
    assert not (tmp_path / "out").exists()
    assert len(list((tmp_path / ".out.parts").glob("*.mcap"))) >= 3
    assert run_bag(bag, tmp_path / "out", artifact_folder, "--field-of-view", "full") == 1
    assert "another job (field_of_view differ" in capsys.readouterr().err


def test_a_killed_recorder_leaves_no_metadata_and_the_remedy_is_named(tmp_path, artifact_folder, capsys):
    bag = write_long(tmp_path / "in", 40)
    expected = run_bag(bag, tmp_path / "whole", artifact_folder)
    (bag / "metadata.yaml").unlink()
    assert run_bag(bag / "in.mcap", tmp_path / "out", artifact_folder) == expected == 0
    assert raw_messages(tmp_path / "out") == raw_messages(tmp_path / "whole")
    file = bag / "in.mcap"
    file.write_bytes(file.read_bytes()[:-3000])
    capsys.readouterr()
    assert run_bag(file, tmp_path / "out2", artifact_folder) == 1
    assert "mcap recover" in capsys.readouterr().err


@pytest.mark.parametrize("index", [IndexType.NONE, IndexType.CHUNK, IndexType.ALL])
def test_a_missing_index_costs_time_but_never_frames(tmp_path, artifact_folder, capsys, index):
    bag = write_long(tmp_path / "in", 40)
    with (tmp_path / "bare.mcap").open("wb") as stream:
        writer = McapWriter(stream, index_types=index)
        writer.start("ros2")
        channels = {}
        for topic, kind, recorded_ns, raw in raw_messages(bag):
            if topic not in channels:
                definition, _ = get_typestore(Stores.ROS2_HUMBLE).generate_msgdef(kind, ros_version=2)
                channels[topic] = writer.register_channel(
                    topic, "cdr", writer.register_schema(kind, "ros2msg", definition.encode())
                )
            writer.add_message(channels[topic], recorded_ns, raw, recorded_ns)
        writer.finish()
    assert run_bag(tmp_path / "bare.mcap", tmp_path / "out", artifact_folder) == 0
    assert json.loads(capsys.readouterr().out)["frames_out"] == 40


def test_a_topic_of_an_unknown_type_hinders_only_where_it_is_copied(tmp_path, artifact_folder, capsys):
    types = get_typestore(Stores.ROS2_HUMBLE)
    types.register(get_types_from_msg("float64 thrust", "drone_msgs/msg/Rotor"))
    pieces = raw_messages(write_long(tmp_path / "plain", 10))
    with Writer(tmp_path / "in", version=8, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connections = {}
        rotor = writer.add_connection("/rotor", "drone_msgs/msg/Rotor", typestore=types)
        for topic, kind, recorded_ns, raw in pieces:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=types)
            writer.write(connections[topic], recorded_ns, raw)
            thrust = types.types[rotor.msgtype](1.5)
            writer.write(rotor, recorded_ns, types.serialize_cdr(thrust, rotor.msgtype))
    assert run_bag(tmp_path / "in", tmp_path / "out", artifact_folder, "--copy", "/rotor") == 0  # the bag defines it
    assert sum(one[0] == "/rotor" for one in raw_messages(tmp_path / "out")) == 30
    forget_definitions(tmp_path / "in" / "in.db3")
    assert run_bag(tmp_path / "in", tmp_path / "out2", artifact_folder) == 0
    capsys.readouterr()
    assert run_bag(tmp_path / "in", tmp_path / "out3", artifact_folder, "--copy", "/rotor") == 1
    assert "/rotor is of the unknown type drone_msgs/msg/Rotor" in capsys.readouterr().err
    assert run_bag(tmp_path / "in", tmp_path / "out4", artifact_folder, "--copy", "*") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["copied"] == 30 and any("not copied: /rotor is of" in note for note in summary["notes"])


def forget_definitions(database: Path) -> None:
    """Make it a bag of Humble's time, which had none."""
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE schema SET schema_version = 3")
        connection.execute("DROP TABLE message_definitions")
    connection.close()


def test_a_full_disk_is_told_and_the_run_goes_on_where_there_is_room(tmp_path, artifact_folder):
    """Run on a tmpfs too small for the output, which then grows, in a mount namespace of its own."""
    bag = write_long(tmp_path / "in", 100)
    run_bag(bag, tmp_path / "whole", artifact_folder)
    disk = tmp_path / "disk"
    disk.mkdir()
    command = [sys.executable, "-m", "fastdepth_ros", *arguments(bag, disk / "out", artifact_folder, "--workers", 1)]
    script = """
        set -u
        mount -t tmpfs -o size=12m tmpfs "$DISK" || exit 77
        "$@"; echo "code $?"
        ls -A "$DISK"
        mount -o remount,size=100m "$DISK"
        "$@"; echo "code $?"
        cp -r "$DISK/out" "$SAVED"
    """
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", *command],
        env={**environment(), "DISK": str(disk), "SAVED": str(tmp_path / "saved")},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip("a tmpfs cannot be mounted")
    first, _, second = done.stdout.partition("code 1")
    assert not first.strip() and "code 0" in second, done.stdout + done.stderr
    assert ".out.parts" in second.split() and "out" not in second.split("code 0")[0].split()
    assert "No space left on device" in done.stderr and "the same command goes on from there" in done.stderr
    assert raw_messages(tmp_path / "saved") == raw_messages(tmp_path / "whole")


def test_no_frame_in_the_range_is_told_and_so_is_nonsense(tmp_path, artifact_folder, capsys):
    bag = write_long(tmp_path / "in", 10)
    assert run_bag(bag, tmp_path / "out", artifact_folder, "--start", 100) == 1
    assert f"no frame of {IMAGE_TOPIC} lies between second 100 and the end" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    truth = ("--truth-topic", "/truth", "--truth-tolerance")
    for nonsense in (["--every", 0], ["--rate", 0], [*truth, -1]):
        assert run_bag(bag, tmp_path / "out2", artifact_folder, *nonsense) == 1
        assert "makes no sense" in capsys.readouterr().err
    for endless in (["--rate", "inf"], [*truth, "nan"], ["--end", "inf"]):
        with pytest.raises(SystemExit, match="2"):
            run_bag(bag, tmp_path / "out2", artifact_folder, *endless)
        assert "invalid number value" in capsys.readouterr().err
    assert run_bag(bag, tmp_path / "out2", artifact_folder, "--workers", -1) == 1
    assert "--workers is -1" in capsys.readouterr().err


def test_an_interrupted_run_says_that_it_goes_on_and_does(tmp_path, artifact_folder, capsys):
    bag = write_long(tmp_path / "in", 200)
    run_bag(bag, tmp_path / "whole", artifact_folder)
    of_the_runner = signal.signal(signal.SIGINT, signal.default_int_handler)
    pressing = threading.Thread(target=press_ctrl_c_after_a_part, args=(tmp_path / ".out.parts",))
    pressing.start()
    assert run_bag(bag, tmp_path / "out", artifact_folder) == 130
    pressing.join()
    signal.signal(signal.SIGINT, of_the_runner)
    assert "fastdepth bag: interrupted; the same command goes on from there\n" in capsys.readouterr().err
    kept = set((tmp_path / ".out.parts").glob("*.mcap"))
    assert 0 < len(kept) < 7 and not (tmp_path / "out").exists()
    assert run_bag(bag, tmp_path / "out", artifact_folder) == 0
    assert raw_messages(tmp_path / "out") == raw_messages(tmp_path / "whole")


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_a_part_that_was_cut_short_is_computed_anew(storage, tmp_path, artifact_folder, caplog, monkeypatch):
    bag = write_rosbag2(tmp_path / "in", storage)
    run_bag(bag, tmp_path / "whole", artifact_folder)
    with monkeypatch.context() as patched:
        patched.setattr("fastdepth_ros.bags.depth_bag.join_parts", full_disk)
        assert run_bag(bag, tmp_path / "out", artifact_folder) == 1
    part = tmp_path / ".out.parts" / "000000.mcap"
    part.write_bytes(part.read_bytes()[:-100])
    assert run_bag(bag, tmp_path / "out", artifact_folder) == 0
    assert "000000.mcap is damaged" in caplog.text
    assert raw_messages(tmp_path / "out") == raw_messages(tmp_path / "whole")


def full_disk(*_: object, **__: object) -> None:
    raise OSError("no space left")


def test_an_output_with_unreadable_metadata_leaves_the_other_bags_alone(tmp_path, artifact_folder, capsys):
    bags = [write_long(tmp_path / name, 10) for name in ("one", "two")]
    (tmp_path / "out" / "one").mkdir(parents=True)
    (tmp_path / "out" / "one" / "metadata.yaml").write_text("{: [")
    command = ["bag", *map(str, bags), "--image-topic", IMAGE_TOPIC, "--out", str(tmp_path / "out")]
    assert main([*command, "--model", str(artifact_folder)]) == 1
    assert "one exists; choose another output" in capsys.readouterr().err
    assert len(raw_messages(tmp_path / "out" / "two")) == 20


def press_ctrl_c_after_a_part(parts: Path) -> None:
    while not list(parts.glob("0*.json")):
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)
