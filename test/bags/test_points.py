"""Points in a new bag, and what the report makes of them."""

from __future__ import annotations

import json

import numpy as np
from running import read_bag, run_bag

from fastdepth_ros.cli import main
from fastdepth_ros.depth.camera_info import stamp_ns
from fastdepth_ros.depth.depth_image import meters_of
from fastdepth_ros.depth.options import PointsOptions
from fastdepth_ros.depth.points import filtered_points, points_of
from fastdepth_ros.view.recorded import read_recorded


def test_every_depth_image_gets_its_points_beside_it(mcap_bag, tmp_path, artifact_folder, capsys):
    options = ("--points", "--points-stride", 4, "--points-min-cluster", 0, "--copy", "*")
    assert run_bag(mcap_bag, tmp_path / "out", artifact_folder, *options) == 0
    assert json.loads(capsys.readouterr().out)["points_out"] == 4
    found = read_bag(tmp_path / "out")
    clouds, depths, infos = ([message for _, message in found[f"/depth/{name}"]]
                             for name in ("points", "image", "camera_info"))  # fmt: skip
    assert [stamp_ns(cloud) for cloud in clouds] == [stamp_ns(depth) for depth in depths]
    assert len(found["/camera/image_raw"]) == 4
    for cloud, depth, info in zip(clouds, depths, infos):
        expected = filtered_points(meters_of(depth), info.k, PointsOptions(4, min_cluster=0))
        np.testing.assert_allclose(points_of(cloud), expected[0], rtol=1e-6)


def test_the_report_counts_the_points_and_draws_them(mcap_bag, tmp_path, artifact_folder, capsys):
    run_bag(mcap_bag, tmp_path / "out", artifact_folder, "--points")
    clouds = [message for _, message in read_bag(tmp_path / "out")["/depth/points"]]
    recorded = read_recorded(tmp_path / "out")
    assert recorded.points[0].tolist() == [cloud.width for cloud in clouds]
    assert list(recorded.cloud_jpegs) == [stamp_ns(clouds[place]) for place in (0, 2, 3)]
    assert main(["report", str(tmp_path / "out"), "--out", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert page.count("points from above and from the side") == 3 and 'href="#points"' in page


def test_without_the_option_neither_bag_nor_report_has_points(mcap_bag, tmp_path, artifact_folder):
    run_bag(mcap_bag, tmp_path / "out", artifact_folder)
    assert "/depth/points" not in read_bag(tmp_path / "out")
    assert main(["report", str(tmp_path / "out"), "--out", str(tmp_path / "page.html")]) == 0
    assert 'href="#points"' not in (tmp_path / "page.html").read_text()
