"""Measurements: every one goes through `timing`, so that figures can be laid side by side."""
