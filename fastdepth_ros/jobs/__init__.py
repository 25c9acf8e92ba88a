"""Atomic files, resumable job folders, and work in processes or on a cluster."""
