"""Batches depend on the seed, the epoch and the pairs, and on nothing else."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from fastdepth_ros.data.augment import augment  # noqa: E402
from fastdepth_ros.data.authors import authors_train  # noqa: E402
from fastdepth_ros.data.datasets import DatasetError, Pair, open_dataset  # noqa: E402
from fastdepth_ros.data.loader import PairLoader  # noqa: E402

PAIRS, BATCH, SIZE = 11, 3, 32
STEPS = 3


class Memory:
    """Pairs whose reading is counted."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.read: list[int] = []
        self.pairs = []
        for number in range(PAIRS):
            rgb = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            self.pairs.append(Pair(str(number), rgb, rng.uniform(0.5, 10, (48, 64)).astype(np.float32)))

    def __len__(self) -> int:
        return PAIRS

    def __getitem__(self, index: int) -> Pair:
        self.read.append(index)
        return self.pairs[index]


def loader(dataset=None, transform=augment, seed=5, **options) -> PairLoader:
    return PairLoader(dataset or Memory(), transform, BATCH, seed, size_px=SIZE, **options)


def batches(loader: PairLoader, epoch: int, start: int = 0) -> list:
    return list(loader.epoch(epoch, start))


def equal(first: list, second: list) -> bool:
    return len(first) == len(second) and all(
        torch.equal(a, b) for ours, theirs in zip(first, second) for a, b in zip(ours, theirs)
    )


@pytest.fixture(scope="module")
def expected() -> list:
    """Epoch 2 with nothing special."""
    return batches(loader(), 2)


def test_a_batch_is_rgb_in_unit_range_and_meters_on_the_transforms_grid(expected):
    assert len(expected) == len(loader()) == STEPS
    for rgb, depth in expected:
        assert rgb.shape == (BATCH, 3, SIZE, SIZE) and rgb.dtype == torch.float32
        assert 0 <= rgb.min() < 0.2 and 0.5 < rgb.max() <= 1
        assert rgb.is_contiguous(memory_format=torch.channels_last)
        assert depth.shape == (BATCH, 1, SIZE // 2, SIZE // 2) and depth.dtype == torch.float32
    assert next(loader(transform=authors_train).epoch(0))[1].shape == (BATCH, 1, SIZE, SIZE)


@pytest.mark.parametrize("options", [{"workers": 1}, {"workers": 2}, {"cache": True}, {"workers": 2, "cache": True}])
def test_workers_and_cache_change_no_batch(expected, options):
    assert equal(batches(loader(**options), 2), expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_resumed_in_the_middle_goes_on_with_the_same_batches(expected, workers):
    for start in range(STEPS + 1):
        assert equal(batches(loader(workers=workers), 2, start), expected[start:])


def test_an_epoch_left_early_changes_nothing_after_it(expected):
    ours = loader(workers=2)
    for _ in ours.epoch(1):
        break
    assert equal(batches(ours, 2), expected)


def test_another_epoch_and_another_seed_give_other_batches(expected):
    assert not equal(batches(loader(), 3), expected)
    assert not equal(batches(loader(seed=6), 2), expected)


def test_an_epoch_takes_no_pair_twice_and_all_have_their_turn():
    ever = set()
    for epoch in range(6):
        dataset = Memory()
        batches(loader(dataset), epoch)
        assert len(dataset.read) == len(set(dataset.read)) == STEPS * BATCH
        ever |= set(dataset.read)
    assert ever == set(range(PAIRS))


def test_the_augmentation_of_a_pair_comes_from_seed_epoch_and_index():
    dataset = Memory()
    ours = batches(loader(dataset), 2)
    for place, index in enumerate(dataset.read):
        pair = dataset.pairs[index]
        rgb, depth = augment(pair.rgb, pair.depth, SIZE, np.random.default_rng([5, 2, index]))
        got_rgb, got_depth = (tensor[place % BATCH].numpy() for tensor in ours[place // BATCH])
        np.testing.assert_array_equal(got_depth[0], depth)
        np.testing.assert_allclose(got_rgb, rgb.transpose(2, 0, 1) / 255, atol=1e-6)


def test_the_shards_of_a_batch_make_up_the_batch(expected):
    shards = [batches(loader(shard=(rank, 3)), 2) for rank in range(3)]
    assert all(len(shard) == STEPS for shard in shards)
    together = [tuple(torch.cat(parts) for parts in zip(*step)) for step in zip(*shards)]
    assert equal(together, expected)


def test_the_cache_reads_each_pair_once():
    dataset = Memory()
    ours = loader(dataset, cache=True)
    for epoch in range(3):
        batches(ours, epoch)
    assert sorted(dataset.read) == list(range(PAIRS))


def write_folder(root: Path) -> None:
    (root / "rgb").mkdir()
    (root / "depth").mkdir()
    for number, pair in enumerate(Memory().pairs):
        cv2.imwrite(str(root / "rgb" / f"{number:04d}.png"), pair.rgb)
        cv2.imwrite(str(root / "depth" / f"{number:04d}.png"), (pair.depth * 1000).astype(np.uint16))
    (root / "split.csv").write_text("index,split\n" + "".join(f"{number},train\n" for number in range(PAIRS)))


def test_workers_use_the_cache_and_not_the_files(tmp_path):
    write_folder(tmp_path)
    dataset = open_dataset("folder", tmp_path, "train")
    expected = batches(loader(dataset), 0)
    cached = loader(dataset, cache=True, workers=2)
    for file in tmp_path.glob("*/*.png"):
        file.unlink()
    assert equal(batches(cached, 0), expected)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_vanishes_is_named_by_the_worker_that_wanted_it(tmp_path, workers):
    write_folder(tmp_path)
    dataset = open_dataset("folder", tmp_path, "train")
    for file in tmp_path.glob("depth/*.png"):
        file.unlink()
    with pytest.raises(DatasetError, match=r"depth/\d{4}\.png is missing"):
        batches(loader(dataset, workers=workers), 0)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_global_generator_is_left_alone(workers):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    batches(loader(workers=workers), 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_no_pair_draws_the_numbers_that_made_the_order():
    """numpy seeds [seed, epoch] and [seed, epoch, 0] alike."""
    drawn = []

    def draw(rgb, depth, size_px, rng):
        drawn.append(rng.permutation(PAIRS)[: STEPS * BATCH].tolist())
        return rgb, depth

    for epoch in range(4):
        dataset = Memory()
        batches(loader(dataset, draw), epoch)
        assert dataset.read not in drawn


def test_pairs_that_fill_no_batch_are_refused_with_their_number():
    with pytest.raises(ValueError, match="11 pairs do not fill one batch of 12"):
        PairLoader(Memory(), augment, 12, 0)


def test_a_batch_that_cannot_be_shared_out_is_refused():
    with pytest.raises(ValueError, match="batch of 3 .* among 2"):
        loader(shard=(0, 2))
