"""Bags of many kinds: every frame comes out or is named, and what is odd in a bag touches nothing else."""

from __future__ import annotations

import json

import pytest
from kinds import BAD, FAULTY, FRAMES, START_NS, TIMES, TOPIC, WHOLE, mcap, rosbag2, split
from recorded import write_long
from rosbags.rosbag2 import StoragePlugin
from running import raw_messages, run_bag

from fastdepth_ros.bags.camera import busiest_camera_topic
from fastdepth_ros.bags.inspect import inspect_bag
from fastdepth_ros.bags.reader import BagError, open_bag
from fastdepth_ros.bags.request import Request
from fastdepth_ros.bags.windows import Selection


@pytest.mark.parametrize("kind", WHOLE)
def test_every_frame_of_a_bag_of_any_kind_comes_out(kind, tmp_path, artifact_folder, capsys):
    bag = WHOLE[kind](tmp_path)
    assert run_bag(bag, tmp_path / "out", artifact_folder, topic=TOPIC) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["frames_in"], summary["frames_out"], summary["dropped"]) == (FRAMES, FRAMES, {})
    assert sum(one[0] == "/depth/image" for one in raw_messages(tmp_path / "out")) == FRAMES


@pytest.mark.parametrize("kind", FAULTY)
def test_a_bag_of_which_nothing_comes_out_is_a_failure_that_names_why(kind, tmp_path, artifact_folder, capsys):
    make, words = FAULTY[kind]
    bag = make(tmp_path)
    assert run_bag(bag, tmp_path / "out", artifact_folder, topic=TOPIC) == 1
    told = capsys.readouterr().err
    assert words in told and "goes on from there" not in told
    assert sorted(path.name for path in tmp_path.iterdir()) == [bag.name]


def test_a_frame_that_cannot_be_read_is_named_and_the_others_come_out(tmp_path, artifact_folder, capsys):
    bag = rosbag2(tmp_path / "in", messages=BAD)
    assert run_bag(bag, tmp_path / "out", artifact_folder, topic=TOPIC) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["frames_in"] == FRAMES == summary["frames_out"] + sum(summary["dropped"].values())
    assert [reason for reason in summary["dropped"] if "what8" in reason]


def test_seconds_count_from_the_first_message_whatever_the_metadata_say(tmp_path):
    bag = WHOLE["late start"](tmp_path)
    request = Request(recipe=None, image_topic=TOPIC, selection=Selection(start_s=0.15, end_s=0.45))
    opened = inspect_bag(bag, request)
    assert opened.began_ns == START_NS
    assert sum(len(window.kept) for window in opened.windows) == 3


def test_files_of_a_split_bag_are_read_by_time_and_counted_together(tmp_path):
    with open_bag(split(tmp_path, StoragePlugin.MCAP, (TIMES[::2], TIMES[1::2]))) as reader:
        assert [recorded_ns for _, recorded_ns, _ in reader.messages()] == TIMES
        assert busiest_camera_topic(reader) == TOPIC
        assert (reader.start_time, reader.end_time, reader.message_count) == (TIMES[0], TIMES[-1] + 1, FRAMES)


def test_unreadable_metadata_are_told_with_the_files_that_were_read(tmp_path, artifact_folder, capsys):
    bag = WHOLE["broken metadata"](tmp_path)
    run_bag(bag, tmp_path / "out", artifact_folder, topic=TOPIC)
    (note,) = [one for one in json.loads(capsys.readouterr().out)["notes"] if "metadata" in one]
    assert f"{bag / 'metadata.yaml'} cannot be read" in note and "broken.db3" in note


def test_of_all_topics_those_that_cannot_be_copied_are_named(tmp_path, artifact_folder, capsys):
    bag = mcap(tmp_path / "in.mcap", beside=("foxglove.SceneUpdate", "protobuf", b"\x0a", "protobuf"))
    assert run_bag(bag, tmp_path / "out", artifact_folder, "--copy", "*", topic=TOPIC) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["copied"] == FRAMES
    assert any("not copied: /other is encoded as 'protobuf'" in note for note in summary["notes"])
    assert run_bag(bag, tmp_path / "out2", artifact_folder, "--copy", "/other", topic=TOPIC) == 1
    assert "leave the topic out of --copy" in capsys.readouterr().err


def test_a_bag_that_cannot_be_read_leaves_the_others_of_its_folder_alone(tmp_path, artifact_folder, capsys):
    rosbag2(tmp_path / "in" / "good")
    rosbag2(tmp_path / "in" / "empty", times=[])
    assert run_bag(tmp_path / "in", tmp_path / "out", artifact_folder, topic=TOPIC) == 1
    told = capsys.readouterr()
    assert "1 of 2 bags failed" in told.err and "holds no message" in told.err
    assert json.loads(told.out)["bags"][str(tmp_path / "out" / "good")]["frames_out"] == FRAMES


def test_the_camera_info_that_a_bag_has_elsewhere_is_named(tmp_path, artifact_folder, capsys):
    bag = write_long(tmp_path / "in", 4)
    options = ("--camera-info-topic", "/camera/info")
    run_bag(bag, tmp_path / "out", artifact_folder, *options)
    (note,) = json.loads(capsys.readouterr().out)["notes"]
    assert "no camera_info on /camera/info; the bag has /camera/camera_info" in note


def test_a_type_that_an_old_bag_names_is_its_image(tmp_path):
    with open_bag(WHOLE["old type names"](tmp_path)) as reader:
        assert busiest_camera_topic(reader) == TOPIC
        assert {connection.msgtype for connection in reader.connections} == {"sensor_msgs/msg/Image"}


def test_an_image_topic_of_another_encoding_is_told_by_its_encoding(tmp_path):
    with pytest.raises(BagError, match="protobuf"):
        inspect_bag(mcap(tmp_path / "in.mcap", image_encoding="protobuf"), Request(recipe=None, image_topic=TOPIC))
