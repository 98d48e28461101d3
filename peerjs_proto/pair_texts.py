"""The text messages of pairing and of the handshake: JSON objects with a type, strictly read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from .errors import DecodeError, LocalProtocolError, Unauthorized
from .jsontext import dumps, loads

__all__ = [
    "MAX_NAME",
    "VERSION",
    "check_name",
    "check_version",
    "hexadecimal",
    "name_of",
    "number",
    "read",
    "refused",
    "tag_in",
    "write",
]

VERSION: Final = 1

MAX_NAME: Final = 64
"Characters of a name."

_MAX_TEXT: Final = 4096
"Characters of a message: the longest has some 500."

_MAX_REASON: Final = 200
_MAX_NUMBER: Final = 2**53 - 1
_HEX: Final = re.compile(r"[0-9a-f]*")
_TAG: Final = re.compile(r"[A-Z]{4}")


def write(type: str, **members: Any) -> str:
    """A message; members that are None stay out."""
    return dumps({"type": type} | {name: v for name, v in members.items() if v is not None})


def refused(reason: str) -> str:
    """The last message of whoever goes no further, with the reason for people."""
    return write("refused", reason=reason)


def read(text: str | bytes, type: str) -> Mapping[str, Any]:
    """The members of a message of that type.

    Raises:
        DecodeError: it is another message, or none.
        Unauthorized: the far side refuses, in its own words.
    """
    if not isinstance(text, str):
        raise DecodeError(f"bytes where the message {type!r} was expected")
    if len(text) > _MAX_TEXT:
        raise DecodeError(f"a message of more than {_MAX_TEXT} characters")
    message = loads(text, max_depth=3)
    if not isinstance(message, dict):
        raise DecodeError("a message that is no object")
    if message.get("type") == "refused":
        reason = message.get("reason")
        words = reason if isinstance(reason, str) and reason.isprintable() else ""
        raise Unauthorized(f"the far side refuses: {words[:_MAX_REASON] or 'it does not say why'}")
    if message.get("type") != type:
        raise DecodeError(f"another message where {type!r} was expected")
    return message


def check_version(message: Mapping[str, Any]) -> None:
    """Raises DecodeError unless we speak one of the message's versions."""
    versions = message.get("versions")
    if not isinstance(versions, list) or VERSION not in versions:
        raise DecodeError("the far side speaks other versions of the protocol")


def hexadecimal(message: Mapping[str, Any], name: str, size: int) -> bytes:
    """A member that is so many bytes in lower-case hexadecimal; raises DecodeError."""
    value = message.get(name)
    if not isinstance(value, str) or len(value) != 2 * size or not _HEX.fullmatch(value):
        raise DecodeError(f"{name!r} is not {size} bytes in hexadecimal")
    return bytes.fromhex(value)


def number(message: Mapping[str, Any], name: str) -> int:
    """A member that is a whole number from 0 on; raises DecodeError."""
    value = message.get(name)
    if type(value) is not int or not 0 <= value <= _MAX_NUMBER:
        raise DecodeError(f"{name!r} is no number from 0 on")
    return value


def name_of(message: Mapping[str, Any]) -> str:
    """Who somebody is, for people; raises DecodeError."""
    try:
        return check_name(message.get("name"))
    except LocalProtocolError as error:
        raise DecodeError(str(error)) from None


def tag_in(message: Mapping[str, Any]) -> str:
    """Four letters; raises DecodeError."""
    tag = message.get("tag")
    if not isinstance(tag, str) or not _TAG.fullmatch(tag):
        raise DecodeError("'tag' is not four letters")
    return tag


def check_name(name: object) -> str:
    """A name that can be shown anywhere, terminals among it; raises LocalProtocolError."""
    if not isinstance(name, str) or not (0 < len(name) <= MAX_NAME) or name != name.strip():
        raise LocalProtocolError(f"a name has 1 to {MAX_NAME} characters, no space around them")
    if not name.isprintable():
        raise LocalProtocolError("a name has printable characters only")
    return name
