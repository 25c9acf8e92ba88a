"""A model on disk: manifest, golden frame, catalog and download."""
