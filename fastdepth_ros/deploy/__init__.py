"""From a trained network to an artefact."""
