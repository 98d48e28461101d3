"""BinaryPack, the default serialization of PeerJS: MessagePack's cousin, with its own type bytes.

Read off peerjs-js-binarypack 2.1.0 (``dist/binarypack.mjs``) and its behaviour in Node; each
decision, and where and why we differ, is a row in ``docs/binarypack.md``. In short: we decode
exactly and refuse what is malformed; we send the bytes JavaScript would send wherever its own
decoder reads them right, and bytes that it does read right elsewhere.
"""

from __future__ import annotations

from typing import Any

from .limits import DEFAULT_LIMITS
from .packer import Packer
from .unpacker import Unpacker

__all__ = ["pack", "pack_parts", "unpack", "unpack_counted"]


def pack(
    value: Any, *, max_depth: int = DEFAULT_LIMITS.nesting, dates_as_text: bool = False
) -> bytes:
    """``value`` in BinaryPack.

    Takes None, bool, int, float, str, bytes, bytearray, memoryview, list, tuple and dict with
    str keys; an instance of a subclass goes as its base. Numbers are JavaScript's: a whole one
    goes, and arrives, as an integer. Lone surrogates become U+FFFD.

    Args:
        value: What to pack.
        max_depth: Lists and maps inside each other; ``[]`` is 1 deep.
        dates_as_text: Take ``datetime.datetime`` too, as the text that JavaScript's
            ``toISOString`` gives (UTC, milliseconds), and ``datetime.date`` as ``2024-02-29``.
            ``new Date(text)`` reads both; they arrive as text. A datetime without a time zone
            is refused.

    Raises:
        UnsupportedValue: any other type, integers beyond 64 bits, NaN, the key ``__proto__``,
            values deeper than ``max_depth`` or inside themselves.
        MessageTooBig: text, bytes or a container of 2**32 items or more.
    """
    return Packer(dates_as_text=dates_as_text).whole(value, max_depth)


def pack_parts(
    value: Any, *, max_depth: int = DEFAULT_LIMITS.nesting, dates_as_text: bool = False
) -> list[bytes | bytearray]:
    """What :func:`pack` gives, in parts: large ``bytes`` in the value are not copied.

    Nothing the caller does to ``value`` later changes them. Raises as :func:`pack`.
    """
    return Packer(dates_as_text=dates_as_text).parts(value, max_depth)


def unpack(
    data: bytes | bytearray | memoryview,
    *,
    max_depth: int = DEFAULT_LIMITS.nesting,
    max_items: int = DEFAULT_LIMITS.message_items,
) -> Any:
    """The value packed in ``data``; see :func:`unpack_counted`."""
    return unpack_counted(data, max_depth=max_depth, max_items=max_items)[0]


def unpack_counted(
    data: bytes | bytearray | memoryview,
    *,
    max_depth: int = DEFAULT_LIMITS.nesting,
    max_items: int = DEFAULT_LIMITS.message_items,
) -> tuple[Any, int]:
    """The value packed in ``data``, and how many values and keys are in it, itself included.

    Yields None, bool, int, float, str, bytes, list and dict; JavaScript's ``undefined`` is None.
    Accepts longer forms than needed; of equal keys the last one wins. Anything but ``bytes``
    is copied first.

    Raises:
        DecodeError: and nothing else, for any bytes at all.
    """
    unpacker = Unpacker(data if type(data) is bytes else bytes(data), max_items)
    return unpacker.whole(max_depth), unpacker.items
