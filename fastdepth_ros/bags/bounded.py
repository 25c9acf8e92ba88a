"""Decompression that ends: rosbags unpacks whatever a few kilobytes grow to, here a bag that grows too far is refused.

rosbags takes no limit; so its tables of decompressors, and its zstd, are replaced once, for the whole process.
"""

from __future__ import annotations

import sys
from bz2 import BZ2Decompressor
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from lz4.frame import LZ4FrameDecompressor
from rosbags.rosbag1 import reader as rosbag1
from rosbags.rosbag2 import reader as rosbag2
from rosbags.rosbag2 import storage_mcap

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_BYTES = 1 << 29  # of one chunk or message; a recorder's chunk has a few megabytes


class TooLargeError(ValueError):
    """Data that unpack to more than MAX_BYTES, or to more than they announce."""


def bound_rosbags() -> None:
    """Have rosbags refuse what unpacks to over MAX_BYTES. Calling it again changes nothing."""
    storage_mcap.DECOMPRESSORS["zstd"] = lambda data, size: _unpack(zstd.ZstdDecompressor, data, size)
    storage_mcap.DECOMPRESSORS["lz4"] = lambda data, size: _unpack(LZ4FrameDecompressor, data, size)
    rosbag1.decompressors["lz4"] = lambda data: _unpack(LZ4FrameDecompressor, data)
    rosbag1.decompressors["bz2"] = lambda data: _unpack(BZ2Decompressor, data)
    messages = SimpleNamespace(decompress=lambda data: _unpack(zstd.ZstdDecompressor, data), open=zstd.open)
    rosbag2.zstd = messages  # type: ignore[assignment] # what it takes of the module


def _unpack(decompressor: Callable[[], Any], data: bytes, announced: int | None = None) -> bytes:
    """All frames of the data, one after the other."""
    unpacked = bytearray()
    most = MAX_BYTES if announced is None else min(announced, MAX_BYTES)
    while data:
        frame = decompressor()
        unpacked += frame.decompress(data, max_length=most + 1 - len(unpacked))
        if len(unpacked) > most:
            raise TooLargeError(f"{len(data)} bytes unpack to over {most}")
        if not frame.eof:
            raise ValueError("compressed data are cut short")
        data = frame.unused_data
    return bytes(unpacked)
