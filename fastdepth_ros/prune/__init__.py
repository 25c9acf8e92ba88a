"""Smaller networks from trained ones."""
