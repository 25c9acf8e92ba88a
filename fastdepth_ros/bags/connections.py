"""The topics of a rosbag2 in whichever file: an odd type, profile or definition leaves the others readable."""

from __future__ import annotations

from rosbags.interfaces import Connection, MessageDefinition, MessageDefinitionFormat, Qos
from rosbags.rosbag2 import ReaderError
from rosbags.rosbag2.metadata import ReaderMetadata, parse_qos

from fastdepth_ros.errors import FastDepthError

_NEVER = 2**63 - 1  # what rosbags calls the start of an empty file
_FORMATS = {
    "ros2msg": MessageDefinitionFormat.MSG,
    "ros2idl": MessageDefinitionFormat.IDL,
    "omgidl": MessageDefinitionFormat.IDL,
}


class ForeignFileError(FastDepthError):
    """A file that is whole, and not a bag that is read; the message says what it is and what to do."""


def ros2_name(msgtype: str) -> str:
    """`package/msg/Name` of a type that an old bag calls `package/Name`."""
    parts = msgtype.split("/")
    return f"{parts[0]}/msg/{parts[1]}" if len(parts) == 2 else msgtype


def named(connection: Connection, count: int) -> Connection:
    """The connection with the name of its type that ROS 2 has today, and its number of messages."""
    return connection._replace(msgtype=ros2_name(connection.msgtype), msgcount=count)


def metadata_of(count: int, start_ns: int, end_ns: int) -> ReaderMetadata:
    """Times and count of a file, as rosbags has them."""
    if not count:
        start_ns, end_ns = _NEVER, 0
    return ReaderMetadata(max(end_ns - start_ns, 0), start_ns, end_ns, count, None, None, None, None)


def definition_of(language: str, text: str) -> MessageDefinition:
    """Message definition as rosbags has it; none for other languages, which matters only if the topic is used."""
    return MessageDefinition(_FORMATS.get(language, MessageDefinitionFormat.NONE), text)


def qos_of(text: str) -> list[Qos]:
    """The publishers' profiles; none where they are not as rosbag2 writes them, which does not touch the messages."""
    try:
        return parse_qos(text)
    except (ReaderError, KeyError, TypeError, ValueError, AttributeError):
        return []
