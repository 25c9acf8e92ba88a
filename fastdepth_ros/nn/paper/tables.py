"""The paper's tables of weights and MACs: each row's network, what is counted of it, and the printed figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import nn

from fastdepth_ros.nn.channels import INPUT_PX, PRUNED, UNPRUNED
from fastdepth_ros.nn.complexity import Complexity, complexity
from fastdepth_ros.nn.network import DepthNetwork, FastDepth
from fastdepth_ros.nn.paper.prior_work import NYU_INPUT_PX, prior_work

CONVENTION = (
    "Counted are the kernels of convolutions and fully connected layers, no bias and no batch norm; "
    "one MAC is one multiply-accumulate, batch 1."
)
COLUMNS = ("weights_m", "macs_g", "rmse_m", "delta1", "tx2_cpu_ms", "tx2_gpu_ms")  # of most tables, in their order
UNITS = {"weights_m": 1e6, "macs_g": 1e9}  # what this package counts


@dataclass(frozen=True)
class Row:
    """One row.

    Args:
        name: name of the network.
        build: makes it.
        paper: figures as printed, with their digits, by the name and unit in `COLUMNS`.
        parts: children of the network that are counted.
        size_px: height and width of the input.
        explained: reason why a figure differs from the paper's, where it does.
        random_weights: True where the network is here to be counted and timed and was never trained.
    """

    name: str
    build: Callable[[], nn.Module]
    paper: Mapping[str, str]
    parts: tuple[str, ...] = ("total",)
    size_px: tuple[int, int] = (INPUT_PX, INPUT_PX)
    explained: str = ""
    random_weights: bool = False

    def count(self) -> Complexity:
        with torch.device("meta"):
            network = self.build()
        counts = complexity(network, self.size_px)
        chosen = [counts[part] for part in self.parts]
        return Complexity(sum(part.weights for part in chosen), sum(part.macs for part in chosen))

    def agrees(self, count: Complexity) -> bool:
        """Whether the count, rounded, has every digit that the paper prints."""
        ours = {"weights_m": count.weights, "macs_g": count.macs}
        return all(
            as_printed(ours[column] / UNITS[column], self.paper[column]) == self.paper[column]
            for column in UNITS
            if column in self.paper
        )


@dataclass(frozen=True)
class Table:
    """One table.

    Args:
        title: subject of the comparison.
        counted: parts of the networks that are counted, in words.
        reductions: printed factors from the first row to the last, by column.
    """

    title: str
    counted: str
    rows: tuple[Row, ...]
    reductions: Mapping[str, str] = field(default_factory=dict)


def as_printed(value: float, example: str) -> str:
    """`value` with as many decimals as `example` has.

    >>> as_printed(0.7371, "0.74"), as_printed(12.85, "12.9")
    ('0.74', '12.8')
    """
    return f"{value:.{len(example.partition('.')[2])}f}"


def _printed(figures: str, columns: tuple[str, ...] = COLUMNS) -> dict[str, str]:
    return dict(zip(columns, figures.split()))


def _variant(
    name: str, figures: str, *, encoder: str = "mobilenet", decoder: str = "nnconv5", kernel: str = "standard",
    skip: str = "none", parts: tuple[str, ...] = ("total",), explained: str = "",
) -> Row:  # fmt: skip
    build = partial(DepthNetwork.of, encoder, decoder, kernel=kernel, skip=skip)
    return Row(name, build, _printed(figures), parts, explained=explained)


def _prior(name: str, work: str, figures: str, *, size_px: tuple[int, int] = NYU_INPUT_PX, explained: str = "") -> Row:
    paper = _printed(figures, COLUMNS[1:])
    return Row(name, partial(prior_work, work), paper, size_px=size_px, explained=explained, random_weights=True)


VGG_EXPLAINED = (
    "The thirteen convolutions of VGG-16 alone take 21.05 G at 228x304. Scales 1 and 2 make 23.52 G, within 0.5 % of "
    "the paper's 23.4 G: the re-implementation that the paper counts seems to lack the third scale's 4.53 G, which its "
    "AlexNet row has."
)
UPCONV_EXPLAINED = (
    "Kernels alone: 25 x sum(in x out x h x w at the output) + 32 x 224 x 224 "
    "= 25 x 5 x 1024 x 512 x 14 x 14 + 1,605,632 = 12,846,661,632, which is 12.8 G (the five layers cost the same). "
    "The authors insert the zeros by a transposed 2x2 convolution of each channel. Counted as one, it adds "
    "4 x sum(in x h x w at the input) = 4 x 31 x 1024 x 7 x 7 = 6,221,824: 12,852,883,456, the paper's 12.9 G. "
    "UpProj's 28.0 G is the same with and without."
)
DECONV_EXPLAINED = (
    "Each input pixel meets each weight once: 25 x sum(in x out x h x w at the input) + 32 x 224 x 224 "
    "= 25 x 5 x 1024 x 512 x 7 x 7 + 1,605,632 = 3,212,869,632, which is 3.21 G. "
    "The paper counts h x w at the output, four times as many, and finds UpConv's number: 12,846,661,632 by kernels "
    "alone, printed as 12.9 G like UpConv's."
)
DECODER = ("decoder", "head")

TABLES = {
    1: Table(
        "comparison with prior work",
        "the whole network at its own input size; the weights of prior work are random, to be counted and timed",
        (
            _prior("Eigen et al. 2014", "eigen2014", "2.06 0.907 0.611 307 23"),
            _prior("Eigen and Fergus 2015 (AlexNet)", "eigen2015-alexnet", "8.39 0.753 0.697 1391 96"),
            _prior(
                "Eigen and Fergus 2015 (VGG)", "eigen2015-vgg", "23.4 0.641 0.769 2797 195", explained=VGG_EXPLAINED
            ),
            _prior("Laina et al. 2016 (UpConv)", "laina2016-upconv", "22.9 0.604 0.789 2384 237"),
            _prior("Laina et al. 2016 (UpProj)", "laina2016-upproj", "42.7 0.573 0.811 3928 319"),
            _prior("Xian et al. 2018", "xian2018", "61.8 0.660 0.781 4429 283", size_px=(384, 384)),
            Row("FastDepth (pruned)", partial(FastDepth, PRUNED), _printed("0.37 0.604 0.771 37 5.6", COLUMNS[1:])),
        ),
    ),
    3: Table(
        "encoders",
        "the encoder in isolation, without average pool and classifier, with the 1x1 that is appended to a ResNet for "
        "7x7x1024; the bottlenecks of ResNet-50 stride in their 3x3",
        (
            _variant("ResNet-50", "25.6 4.19 0.568 0.800 610 35.0", encoder="resnet50", parts=("encoder",)),
            _variant("ResNet-18", "11.7 1.84 0.568 0.782 220 15.2", encoder="resnet18", parts=("encoder",)),
            _variant("MobileNet", "3.19 0.57 0.579 0.772 3700 8.7", parts=("encoder",)),
        ),
    ),
    4: Table(
        "decoders",
        "the decoder in isolation, five layers from 7x7x1024 and the 1x1 at 224x224",
        (
            _variant("UpProj", "38.1 28.0 0.599 0.774 3300 325", decoder="upproj", parts=DECODER),
            _variant(
                "UpConv", "17.5 12.9 0.591 0.771 1600 238", decoder="upconv", parts=DECODER, explained=UPCONV_EXPLAINED
            ),
            _variant(
                "DeConv5",
                "17.5 12.9 0.596 0.766 290 31.0",
                decoder="deconv5",
                parts=DECODER,
                explained=DECONV_EXPLAINED,
            ),
            _variant("NNConv5", "17.5 3.21 0.579 0.772 410 26.2", parts=DECODER),
        ),
    ),
    5: Table(
        "depthwise decoder and skips",
        "the whole network, MobileNet and NNConv5",
        (
            _variant("standard decoder", "20.6 3.78 0.579 0.772 4100 34.9"),
            _variant("depthwise decoder", "3.93 0.74 0.584 0.767 5200 18.6", kernel="depthwise"),
            _variant("depthwise and skip-concat", "3.99 0.85 0.601 0.776 5500 26.8", kernel="depthwise", skip="concat"),
            _variant("depthwise and skip-add", "3.93 0.74 0.599 0.775 5100 19.1", kernel="depthwise", skip="add"),
        ),
    ),
    7: Table(
        "pruning",
        "the whole network",
        (
            Row("before pruning", partial(FastDepth, UNPRUNED), _printed("3.93 0.74 0.599 0.775 66 8.2")),
            Row("after pruning", partial(FastDepth, PRUNED), _printed("1.34 0.37 0.604 0.771 37 5.6")),
        ),
        reductions={"weights_m": "2.9", "macs_g": "2.0"},
    ),
}
