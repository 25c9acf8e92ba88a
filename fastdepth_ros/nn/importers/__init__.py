"""Readers of foreign checkpoints: the FastDepth authors', TFLite, TF-Slim."""
