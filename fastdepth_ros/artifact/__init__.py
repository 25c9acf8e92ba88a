"""A model on disk: manifest, golden frame, catalog and download."""

DEFAULT_MODEL = "fastdepth-pruned"
DEFAULT_BACKEND = "onnxruntime"
