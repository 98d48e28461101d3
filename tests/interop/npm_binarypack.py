"""npm's peerjs-js-binarypack and peerjs at work, in a Node process of their own."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, Final

from tests.interop.node_jobs import run_jobs

__all__ = ["UNDEFINED", "run_node", "tag", "untag"]

UNDEFINED: Final = object()
"JavaScript's undefined, which goes into :func:`tag`; what comes out of :func:`untag` has None."

_SCRIPT: Final = Path(__file__).parent / "js" / "binarypack.mjs"


def run_node(node_modules: Path, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The answers of js/binarypack.mjs, where the jobs and tagged values are described."""
    return run_jobs(_SCRIPT, node_modules, jobs)


def tag(value: Any) -> Any:
    """A value as JSON that keeps apart what JSON does not."""
    match value:
        case bool() | str() | None:
            return value
        case int() | float():
            return {"number": struct.pack(">d", value).hex()}
        case bytes():
            return {"bytes": value.hex()}
        case list():
            return [tag(item) for item in value]
        case dict():
            return {"map": [[key, tag(item)] for key, item in value.items()]}
    assert value is UNDEFINED
    return {"undefined": True}


def untag(value: Any) -> Any:
    """The value; every number is a float, as in JavaScript."""
    match value:
        case {"number": bits}:
            return struct.unpack(">d", bytes.fromhex(bits))[0]
        case {"bytes": digits}:
            return bytes.fromhex(digits)
        case {"map": entries}:
            return {key: untag(item) for key, item in entries}
        case {"undefined": True}:
            return None
        case list():
            return [untag(item) for item in value]
    return value
