"""Depth metrics, numpy only."""
