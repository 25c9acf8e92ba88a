"""Rewriting changes how an engine computes, not what."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from fastdepth_ros.backends import BackendOptions, ModelFile, backend_class
from fastdepth_ros.data.synthetic.sequence import synthetic_frames
from fastdepth_ros.deploy.export import OPSET, write_onnx
from fastdepth_ros.deploy.rewrite import rewrite
from fastdepth_ros.depth.artifact import find_artifact
from fastdepth_ros.nn.checkpoints import load_checkpoint
from fastdepth_ros.nn.deployed import DeployedVariant
from fastdepth_ros.nn.encoders import MobileNet, ResNet18
from fastdepth_ros.nn.network import DepthNetwork

SIZE_PX, EXACT_M = 224, 1e-5
RNG = np.random.default_rng(0)
