"""A power cut during `fastdepth bag` over two bags, as a whole: no file of the job costs more than itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from kinds import KIND, PERIOD_NS, ROS2, START_NS, TOPIC, image
from power import cuts
from rosbags.rosbag2 import StoragePlugin, Writer
from running import raw_messages, run_bag

from fastdepth_ros.bags.messages import image_message

TRUTH = "/truth"
OPTIONS = ("--truth-topic", TRUTH)


def bag(path: Path, plugin: StoragePlugin) -> Path:
    with Writer(path, version=8, storage_plugin=plugin) as writer:
        topics = {topic: writer.add_connection(topic, KIND, typestore=ROS2) for topic in (TOPIC, TRUTH)}
        for stamp_ns in range(START_NS, START_NS + 40 * PERIOD_NS, PERIOD_NS):
            depth = image_message(stamp_ns, "eye", np.full((36, 48), 2.0, np.float32), "32FC1")
            for topic, message in ((TOPIC, image(stamp_ns)), (TRUTH, depth)):
                writer.write(topics[topic], stamp_ns, ROS2.serialize_cdr(message, KIND))
    return path


@pytest.mark.parametrize("both", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["in turns", "both"])
def test_every_file_of_a_job_resumes_or_is_named_and_the_other_bag_goes_on(
    both, tmp_path, artifact_folder, capfd, caplog, monkeypatch
):
    """One bag is published, the parts of the other are all there but for the last."""
    monkeypatch.setattr("fastdepth_ros.bags.metrics.write_figure", lambda path, _: path.write_bytes(b"a picture"))
    for name, plugin in (("one", StoragePlugin.SQLITE3), ("two", StoragePlugin.MCAP)):
        bag(tmp_path / "in" / name, plugin)
    whole, job = tmp_path / "whole", tmp_path / "job"
    assert run_bag(tmp_path / "in", whole, artifact_folder, *OPTIONS, topic=TOPIC) == 0
    with monkeypatch.context() as broken:
        broken.setattr("fastdepth_ros.bags.depth_bag.write_metrics", full_disk_for("two"))
        assert run_bag(tmp_path / "in", job, artifact_folder, *OPTIONS, topic=TOPIC) == 1
    assert (job / "one").is_dir() and len(list((job / ".two.parts").glob("0*.mcap"))) == 2
    expected = {name: raw_messages(whole / name) for name in ("one", "two")}
    resumed = 0
    for file, copy in cuts(job, tmp_path / "cut", both=both):
        published = file.startswith("one/")
        capfd.readouterr()
        caplog.clear()
        code = run_bag(tmp_path / "in", copy, artifact_folder, *OPTIONS, topic=TOPIC)
        assert raw_messages(copy / "two") == expected["two"], file
        told = capfd.readouterr().err + caplog.text
        if published and not file.endswith(".png"):
            assert code == 1 and str(copy / "one") in told and "remove it" in told, file
        else:
            assert code == 0 and raw_messages(copy / "one") == expected["one"], file
            resumed += 1
    assert resumed >= (10 if both else 5)


def full_disk_for(name: str):
    from fastdepth_ros.bags.metrics import write_metrics

    def write(folder: Path, summary: object) -> None:
        if folder.name == name:
            raise OSError("no space left")
        write_metrics(folder, summary)

    return write
