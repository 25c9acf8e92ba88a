# The way of the bundled models: `make model DATA=../shared/data`. Killed, it goes on.
# DATA holds nyu_labeled (the labeled pairs), rgbd_extra/realsense_office (115 frames) and weights (Google's encoder).

RUNS ?= runs
FASTDEPTH := $(PYTHON) -m fastdepth_ros
TRAIN := $(FASTDEPTH) train --dataset nyu-labeled --root $(RUNS)/pairs --cache
ALSO := --also folder=$(RUNS)/rooms --also folder=$(DATA)/rgbd_extra/realsense_office
ENCODER := $(DATA)/weights/mobilenet_v1_1.0_224_imagenet.npz
EXPORT := $(FASTDEPTH) export --facts models/facts.json
STAGES := $(RUNS)/parent-pairs $(RUNS)/parent $(RUNS)/pruned

all: $(RUNS)/fastdepth $(RUNS)/fastdepth-pruned $(RUNS)/learning_curves.png

# A tenth of the training pairs is held out.
$(RUNS)/pairs.done:
	$(PYTHON) models/held_out.py $(DATA)/nyu_labeled $(RUNS)/pairs
	touch $@

$(RUNS)/rooms.done:
	$(FASTDEPTH) rooms --count 150 --out $(RUNS)/rooms
	touch $@

# A stage is done when its .done is there: a run writes its checkpoint after every epoch.
$(RUNS)/parent-pairs.done: $(RUNS)/pairs.done
	$(TRAIN) --recipe imagenet --channels unpruned --pretrained $(ENCODER) --out $(RUNS)/parent-pairs
	touch $@

$(RUNS)/parent.done: $(RUNS)/parent-pairs.done $(RUNS)/rooms.done
	$(TRAIN) $(ALSO) --recipe mixture --start $(RUNS)/parent-pairs/last.safetensors --out $(RUNS)/parent
	touch $@

$(RUNS)/pruned.done: $(RUNS)/parent.done
	$(TRAIN) $(ALSO) --recipe cut --start $(RUNS)/parent/last.safetensors --channels pruned --out $(RUNS)/pruned
	touch $@

$(RUNS)/learning_curves.png: $(RUNS)/pruned.done
	$(PYTHON) models/learning_curves.py $@ $(STAGES)

$(RUNS)/fastdepth: $(RUNS)/parent.done
	$(EXPORT) $(RUNS)/parent/last.safetensors --half --out $@

$(RUNS)/fastdepth-pruned: $(RUNS)/pruned.done
	$(EXPORT) $(RUNS)/pruned/last.safetensors --out $@

.PHONY: all
.PRECIOUS: $(RUNS)/%.done
