"""Steps from a trained network to an artifact."""
