# `make demo` and `make test` do all the set-up on a fresh machine.
# With a ROS 2 sourced, .venv-DISTRO sees its rclpy and OpenCV; without one, .venv gets the ROS 2 wheels.

PYTHON ?= python3
FASTDEPTH_TORCH ?= torch==2.13.0
DATA ?= ../shared/data
# Which ROS 2 wheels, where no ROS 2 is sourced: kilted or jazzy; each has an environment of its own.
ROS_LINE ?= kilted
COMMA := ,
# Asked of the interpreter below an activated environment: what that one has, a new environment does not see.
BASE := $(shell $(PYTHON) -c 'import sys; print(sys._base_executable)')
HAS_ROS := $(shell $(BASE) -c 'import rclpy' 2>/dev/null && echo yes)

ifeq ($(HAS_ROS),yes)
VENV := .venv-$(or $(ROS_DISTRO),ros)
VENV_FLAGS := --system-site-packages
EXTRAS := demo,bags,completion,test
# Its OpenCV was built for this numpy: the venv must not bring the next one. The live view wants numpy 2.
NUMPY_MAJOR := $(shell $(BASE) -c 'import numpy; print(numpy.__version__.split(".")[0])')
NUMPY := numpy<$(shell expr $(NUMPY_MAJOR) + 1)
FULL := torch,train,cluster$(if $(filter 1,$(NUMPY_MAJOR)),,$(COMMA)view),tvm,openvino,litert,docs
else
VENV := .venv$(if $(filter jazzy,$(ROS_LINE)),-jazzy-wheels)
EXTRAS := ros$(if $(filter jazzy,$(ROS_LINE)),-jazzy),opencv,demo,bags,completion,test
NUMPY := numpy
FULL := torch,train,cluster,view,tvm,openvino,litert,docs
endif
RUN = $(VENV)/bin
ROBOT := $(VENV)-robot-$(shell $(BASE) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
export ROS_LOG_DIR ?= $(CURDIR)/$(VENV)/log

.PHONY: demo test test-robot test-slow fuzz model docs lint clean

demo: $(VENV)/robot
	$(RUN)/fastdepth demo --out demo

# What the environment has: a test that skips for want of one of these fails the run.
INSTALLED := $(addprefix --installed ,rclpy torch onnx grimp importlinter catkin_pkg argcomplete sphinx)

test: $(VENV)/full
	$(RUN)/python -m pytest $(INSTALLED)

# What a robot's installation can run, in an environment of its own for each Python: no torch, no TVM.
test-robot: override VENV := $(ROBOT)
test-robot: $(ROBOT)/robot
	$(RUN)/python -m pytest --installed rclpy

test-slow: $(VENV)/full
	$(RUN)/python -m pytest -m slow $(INSTALLED)

# A million hostile messages and a thousand damaged bags, about half an hour.
fuzz: $(VENV)/full
	$(RUN)/python test/fuzz/campaign.py

# The long way to the bundled models, DATA=FOLDER: doc/training.md says how far it came.
model: $(VENV)/full
	$(MAKE) -f models/default.mk PYTHON=$(RUN)/python DATA=$(DATA)

# The pages of doc/ as HTML: build/docs/index.html.
docs: $(VENV)/robot
	$(RUN)/python -m pip install --quiet --editable '.[docs]' '$(NUMPY)'
	$(RUN)/python -m sphinx -W --keep-going -q doc build/docs

lint: $(VENV)/full
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy

clean:
	rm -rf .venv .venv-* build dist demo *.egg-info

# What a robot needs: ONNX Runtime and no torch.
$(VENV)/robot $(ROBOT)/robot: setup.py pyproject.toml
	$(PYTHON) -m venv $(VENV_FLAGS) $(VENV)
	$(RUN)/python -m pip install --quiet --upgrade pip setuptools
	$(RUN)/python -m pip install --quiet --editable '.[$(EXTRAS)]' '$(NUMPY)'
	touch $@

# Torch comes first and pinned, so that a CPU build of it can be laid ready; the default build brings CUDA along.
$(VENV)/full: $(VENV)/robot
	$(RUN)/python -m pip install --quiet $(FASTDEPTH_TORCH) '$(NUMPY)'
	$(RUN)/python -m pip install --quiet --editable '.[$(FULL)]' '$(NUMPY)'
	touch $@
