"""Augmentation moves color and depth together, within the authors' ranges, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from fastdepth_ros.data.augment import Range, augment, augment_mixed, augment_steady

HEIGHT, WIDTH, SIZE = 240, 320, 224
VIEW = (219, 292)  # the trained view of such a frame
STRETCH = (SIZE / VIEW[0], SIZE / VIEW[1])  # network pixels per frame pixel, before the random scale
SAMPLES = 60


def disc(radius: float = 60.0, dx: float = 0.0, dy: float = 0.0) -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return (x - (WIDTH - 1) / 2 - dx) ** 2 + (y - (HEIGHT - 1) / 2 - dy) ** 2 < radius**2


def pair(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bright and 4 m where the mask is, dark and 2 m elsewhere."""
    rgb = np.where(mask, 200, 40).astype(np.uint8)[..., None].repeat(3, axis=-1)
    return rgb, np.where(mask, 4, 2).astype(np.float32)


def samples(mask: np.ndarray, count: int = SAMPLES):
    rgb, depth = pair(mask)
    for seed in range(count):
        yield augment(rgb, depth, SIZE, np.random.default_rng(seed))


def bright(rgb: np.ndarray) -> np.ndarray:
    gray = rgb.astype(int).sum(axis=-1)
    return gray > (gray.max() + gray[SIZE // 2 - 20 : SIZE // 2 + 20].min()) / 2


def far(depth: np.ndarray) -> np.ndarray:
    return depth > 0.75 * depth.max()


def scale_of(depth: np.ndarray) -> float:
    return 4 / float(depth.max())


def center(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(mask)
    return np.array([columns.mean(), rows.mean()])


def test_shapes_and_types_are_those_of_training():
    for rgb, depth in samples(disc(), 5):
        assert rgb.shape == (SIZE, SIZE, 3)
        assert rgb.dtype == np.uint8
        assert depth.shape == (SIZE // 2, SIZE // 2)
        assert depth.dtype == np.float32


def test_the_same_seed_gives_the_same_sample_and_the_pair_is_left_alone():
    rgb, depth = pair(disc())
    kept = rgb.copy(), depth.copy()
    one, same, other = (augment(rgb, depth, SIZE, np.random.default_rng(seed)) for seed in (5, 5, 6))
    for left, right, different in zip(one, same, other):
        np.testing.assert_array_equal(left, right)
        assert (left != different).any()
    np.testing.assert_array_equal(rgb, kept[0])
    np.testing.assert_array_equal(depth, kept[1])


def test_depth_lies_where_its_color_lies():
    """Each depth pixel is the middle of a 2x2 block of color pixels."""
    offsets = []
    for rgb, depth in samples(disc(40, 50, 30)):
        shown = bright(rgb).reshape(SIZE // 2, 2, SIZE // 2, 2).mean(axis=(1, 3))
        agree = (shown > 0.5) == far(depth)
        assert agree[(shown == 0) | (shown == 1)].mean() > 0.995
        offsets.append(center(bright(rgb)) - (2 * center(far(depth)) + 0.5))
    assert np.abs(offsets).max() < 1
    assert np.abs(np.mean(offsets, axis=0)).max() < 0.25


def test_what_is_zoomed_in_is_nearer_by_the_same_factor():
    scales = []
    for rgb, depth in samples(disc(50)):
        scale = scale_of(depth)
        scales.append(scale)
        assert set(np.unique(np.round(depth * scale, 4))) <= {0, 2, 4}
        area = np.pi * 50**2 * STRETCH[0] * STRETCH[1] * scale**2
        assert bright(rgb).sum() == pytest.approx(area, rel=0.03)
    assert 1 <= min(scales) < 1.1
    assert 1.4 < max(scales) <= 1.5


def test_it_turns_by_up_to_5_degrees_either_way_about_the_middle():
    y = np.mgrid[:HEIGHT, :WIDTH][0] - (HEIGHT - 1) / 2
    angles = []
    for _, depth in samples(np.abs(y) < 12):
        band = far(depth)
        assert np.abs(center(band) - (SIZE / 2 - 1) / 2).max() < 1
        rows, columns = np.nonzero(band[:, 16:-16])
        slope = np.polyfit(columns, rows, 1)[0] * STRETCH[1] / STRETCH[0]  # back to square pixels
        angles.append(np.degrees(np.arctan(slope)))
    assert -5.2 < min(angles) < -3.5
    assert 3.5 < max(angles) < 5.2


def test_it_flips_half_of_the_samples_left_to_right_and_none_upside_down():
    on_the_right = [center(far(depth))[0] > SIZE / 4 for _, depth in samples(disc(30, dx=70))]
    assert 0.3 < np.mean(on_the_right) < 0.7
    assert all(center(far(depth))[1] > SIZE / 4 for _, depth in samples(disc(30, dy=50)))


def test_color_is_jittered_and_depth_is_not():
    rgb = np.full((HEIGHT, WIDTH, 3), (140, 100, 60), np.uint8)
    depth = np.full((HEIGHT, WIDTH), 3, np.float32)
    middles = []
    for seed in range(SAMPLES):
        small, small_depth = augment(rgb, depth, SIZE, np.random.default_rng(seed))
        middles.append(small[SIZE // 2, SIZE // 2].astype(float))
        known = small_depth[small_depth > 0]
        np.testing.assert_allclose(known, known[0])
    luma = np.array(middles) @ (0.299, 0.587, 0.114)
    ratio = luma / (np.array((140, 100, 60)) @ (0.299, 0.587, 0.114))
    assert 0.55 < ratio.min() < 0.75
    assert 1.25 < ratio.max() < 1.45
    spread = np.ptp(middles, axis=1) / luma
    assert spread.min() < 0.75 * 80 / 107 < 1.25 * 80 / 107 < spread.max()  # saturation goes both ways


def test_gray_stays_gray():
    for rgb, _ in samples(disc(), 10):
        assert np.ptp(rgb.astype(int), axis=-1).max() <= 1


def test_what_lies_outside_the_frame_has_no_depth():
    depth = np.full((HEIGHT, WIDTH), 3, np.float32)
    rgb = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    outside = [(augment(rgb, depth, SIZE, np.random.default_rng(seed))[1] == 0).mean() for seed in range(SAMPLES)]
    assert max(outside) < 0.03  # the trained view turned by 5 degrees hardly leaves the frame
    unknown = augment(rgb, np.zeros_like(depth), SIZE, np.random.default_rng(0))[1]
    assert not unknown.any()


def steady_samples(mask: np.ndarray, count: int = SAMPLES):
    rgb, depth = pair(mask)
    for seed in range(count):
        yield augment_steady(rgb, depth, SIZE, np.random.default_rng(seed))


def test_the_steady_range_leaves_the_scale_alone_on_average():
    scales = np.array([scale_of(depth) for _, depth in steady_samples(disc())])
    assert 0.92 - 1e-6 <= scales.min() < 0.95
    assert 1.05 < scales.max() <= 1.08 + 1e-6
    assert abs(np.log(scales).mean()) < 0.02


def test_the_authors_range_says_that_things_are_nearer():
    scales = np.array([scale_of(depth) for _, depth in samples(disc())])
    assert np.log(scales).mean() > 0.15


def test_the_steady_view_moves_about_and_color_and_depth_move_together():
    centers = []
    for rgb, depth in steady_samples(disc(30)):
        both = center(bright(rgb)) / 2 - center(far(depth))
        assert np.abs(both).max() < 1.5
        centers.append(center(far(depth)))
    assert np.std(centers, axis=0).min() > 2


def test_the_steady_view_stays_inside_the_frame_but_for_its_turned_edges():
    for _, depth in steady_samples(disc()):
        assert (depth == 0).mean() < 0.06
        assert (depth[12:-12, 12:-12] > 0).all()


def test_the_steady_range_tints():
    """Gray stays gray in the authors' range, and becomes bluish or reddish in the other."""
    rgb, depth = pair(disc())
    spread = [float(np.ptp(sample.mean(axis=(0, 1)))) for sample, _ in steady_samples(disc())]
    assert max(spread) > 5
    assert np.ptp(augment(rgb, depth, SIZE, np.random.default_rng(0))[0].mean(axis=(0, 1))) < 1


@pytest.mark.parametrize("transform", [augment, augment_steady, augment_mixed])
def test_a_whole_view_reaches_the_edges_and_is_stretched_along_rows_alone(transform):
    """A disc on a square picture: as wide as high but for the stretch."""
    rgb, depth = (each[:, 40:280] for each in pair(disc(50)))
    ratios = []
    for seed in range(SAMPLES):
        seen, distance = transform(rgb, depth, SIZE, np.random.default_rng(seed), whole=True)
        rows, columns = np.nonzero(far(distance))
        ratios.append(np.ptp(columns) / np.ptp(rows))
        wall = np.median(seen[::2, ::2][(distance > 0) & ~far(distance)], axis=0)
        assert (seen[0, 0] == wall).all() and (seen[-1, -1] == wall).all()  # beyond the picture it goes on, mirrored
        assert np.ptp(rows) / (100 / 240 * SIZE / 2) == pytest.approx(scale_of(distance), rel=0.08)
    assert 0.8 < min(ratios) < 0.9 and 1.1 < max(ratios) < 1.2
    assert np.mean(ratios) == pytest.approx(1, abs=0.04)


def test_a_whole_view_of_reach_nothing_is_the_picture():
    nothing = Range((1, 1), 0, 0, 0, 0, 1, (1, 1))
    rgb = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    depth = np.random.default_rng(1).uniform(1, 9, (SIZE // 2, SIZE // 2)).astype(np.float32).repeat(2, 0).repeat(2, 1)
    seen, distance = augment(rgb, depth, SIZE, np.random.default_rng(2), nothing, whole=True)
    if (distance[0] != depth[0, ::2]).any():
        seen, distance = seen[:, ::-1], distance[:, ::-1]  # flipped
    np.testing.assert_allclose(distance, depth[::2, ::2])
    assert np.abs(seen.astype(int) - rgb).max() <= 1


def test_a_squeezed_picture_turns_as_the_picture_before_it_was_squeezed():
    """A wheel, squeezed to 3/4 of its width, stays one when it is turned: its bounds do not change."""
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    rgb, depth = pair((x / 0.75) ** 2 + y**2 < 80**2)
    for angle in (0.0, 30.0):
        turned = Range((1, 1), angle, 0, 0, 0, 1, (1, 1))
        rows, columns = np.nonzero(far(augment(rgb, depth, SIZE, np.random.default_rng(3), turned, whole=True)[1]))
        assert np.ptp(rows) == pytest.approx(80, abs=2) and np.ptp(columns) == pytest.approx(60, abs=2)
