"""Every vector made by running peerjs-js-binarypack 2.1.0: the same here, or a reason why not.

A reason is the name of a row in docs/binarypack.md.
"""

from __future__ import annotations

import json
import math
import re
from array import array
from pathlib import Path
from typing import Any, Final

import pytest

from peerjs_proto.binarypack import pack, unpack
from peerjs_proto.errors import DecodeError, LocalProtocolError

_HERE: Final = Path(__file__).parent
_VECTORS: Final[list[dict[str, Any]]] = json.loads(
    (_HERE / "data" / "binarypack-vectors.json").read_text("utf-8")
)["vectors"]
_ROWS: Final = re.findall(
    r"^\| ([^|]+?) \|", (_HERE.parents[1] / "docs" / "binarypack.md").read_text("utf-8"), re.M
)

_REFUSED: Final = object()

# The Python value a vector starts from, where that is not what JavaScript reads back.
_INPUTS: Final[dict[str, Any]] = {
    "int 2**63": 2**63,
    "int 2**64": 2**64,
    "int 2**65": 2**65,
    "int 1e20": 10**20,
    "int -(2**32)-1": -(2**32) - 1,
    "int -(2**53-1)": -(2**53 - 1),
    "int -(2**64)": -(2**64),
    "double 4503599627370495.5": 4503599627370495.5,
    "double 2**-29": 2.0**-29,
    "double 2**-31": 2.0**-31,
    "double -(2**-31)": -(2.0**-31),
    "double 2**-20*(1-2**-53)": 2.0**-20 * (1 - 2.0**-53),
    "double 2**-50*(1-2**-53)": 2.0**-50 * (1 - 2.0**-53),
    "double 1e-310": 1e-310,
    "double 5e-324": 5e-324,
    "double NaN": math.nan,
    "double -Infinity": -math.inf,
    "str '\\ud800'": "\ud800",
    "str '\\udc00'": "\udc00",
    "str '\\udc00\\ud800'": "\udc00\ud800",
    "array len 65535": [0] * 65535,
    "DataView": memoryview(bytes(2)),
    "Float32Array": memoryview(array("f", [1.5, -2])),
    "Float64Array": memoryview(array("d", [0.1])),
    "subarray": memoryview(bytes([1, 2, 3, 4]))[1:3],
    "map JSON.parse('{\"__proto__\":1}')": {"__proto__": 1},
    'map JSON.parse(\'{"__proto__":{"x":1}}\')': {"__proto__": {"x": 1}},
    "map ({hasOwnProperty:1})": {"hasOwnProperty": 1},
    "type new Map([[1,2]])": {1: 2},
    "type new Set([1])": {1},
    "type /a/": re.compile("a"),
    "type new (function Foo(){this.a=1})": object(),
    "type new Error('x')": Exception("x"),
    "type ()=>1": lambda: 1,
    "type 1n": complex(1),
    "type Symbol('s')": object(),
    "type new Number(1)": object(),
    "type new SharedArrayBuffer(2)": array("B", [0, 0]),
}

# Vectors that we pack into other bytes than JavaScript: the row of the docs that says why.
_PACKED_OTHERWISE: Final = {
    "int 2**63": "integers from 2**63 on",
    "int 2**64": "integers beyond 64 bits",
    "int -(2**32)-1": "integers below -2**31",
    "int -(2**53-1)": "integers below -2**31",
    "double 4503599627370495.5": "numbers with a fraction",
    "double 2**-29": "numbers with a fraction",
    "double 2**-31": "numbers with a fraction",
    "double -(2**-31)": "numbers with a fraction",
    "double 2**-20*(1-2**-53)": "numbers with a fraction",
    "double 2**-50*(1-2**-53)": "numbers with a fraction",
    "double 1e-310": "denormal doubles",
    "double 5e-324": "denormal doubles",
    "double NaN": "NaN",
    "double -Infinity": "infinities",
    "array len 65535": "long lists",
    "DataView": "bytes",
    "map JSON.parse('{\"__proto__\":1}')": "the key `__proto__`",
    'map JSON.parse(\'{"__proto__":{"x":1}}\')': "the key `__proto__`",
    "map ({hasOwnProperty:1})": "keys that JavaScript looks for",
}

# Bytes that we read otherwise than JavaScript.
_READ_OTHERWISE: Final = {
    "": "truncated input",
    "9201": "truncated input",
    "8261": "truncated input",
    "82b161": "truncated input",
    "b161ff": "trailing bytes",
    "c4": "unknown type bytes",
    "c6": "unknown type bytes",
    "c7": "unknown type bytes",
    "c8": "unknown type bytes",
    "93c40103": "unknown type bytes",
    "93c40101": "unknown type bytes",
    "81c001": "keys that are no text",
    "81cb3ff800000000000001": "keys that are no text",
    "81c301": "keys that are no text",
    "81a16101": "keys that are no text",
    "8192010203": "keys that are no text",
    "81b95f5f70726f746f5f5f01": "the key `__proto__`",
    "81b95f5f70726f746f5f5f81b17801": "the key `__proto__`",
    "ca00000000": "float32",
    "ca80000000": "float32",
    "ca00000001": "float32",
    "ca7f800000": "float32",
    "caff800000": "float32",
    "cb0000000000000000": "zero",
    "cb7ff8000000000000": "NaN",
    "cf0020000000000001": "integers beyond 2**53",
    "cf0020000000000003": "integers beyond 2**53",
    "d3ffffffffffffffff": "integers below -2**31",
    "d3fffffffffffffc00": "integers below -2**31",
    "d3fffffffffffffbff": "integers below -2**31",
    "d3fffffffeffffffff": "integers below -2**31",
    "d3ffe0000000000001": "integers below -2**31",
    "d37fffffffffffffff": "integers from 2**63 on",
    "b180": "malformed UTF-8",
    "b1a0": "malformed UTF-8",
    "b1e2": "malformed UTF-8",
    "b2c080": "malformed UTF-8",
    "b3eda080": "malformed UTF-8",
    "b4f8808080": "malformed UTF-8",
}


def _untag(decoded: Any) -> Any:
    """The value in the file's own notation; JavaScript's undefined is None."""
    match decoded:
        case list():
            return [_untag(item) for item in decoded]
        case {"$": "undefined"}:
            return None
        case {"$": "bytes", "hex": digits}:
            return bytes.fromhex(digits)
        case {"$": "number", "dec": digits}:
            return int(digits)
        case {"$": "utf16", "units": units}:
            return "".join(map(chr, units))
        case {"$": number}:
            return float(number)
        case dict():
            return {key: _untag(item) for key, item in decoded.items()}
    return decoded


def _bytes_of(vector: dict[str, Any]) -> bytes | None:
    """What JavaScript wrote, or was fed; None if it threw."""
    if "hex_rule" in vector:
        filling = re.fullmatch(r"header_hex \+ '(..)'\*(\d+)", vector["hex_rule"])
        assert filling
        return bytes.fromhex(vector["header_hex"] + filling[1] * int(filling[2]))
    return bytes.fromhex(vector["hex"]) if "hex" in vector else None


def _input_of(vector: dict[str, Any]) -> Any:
    if vector["name"] in _INPUTS:
        return _INPUTS[vector["name"]]
    if "hex_rule" in vector:
        data = _bytes_of(vector)
        assert data
        body = data[len(bytes.fromhex(vector["header_hex"])) :]
        return body.decode() if vector["name"].startswith("str") else body
    return _untag(vector["decoded"])


def _ids(vector: dict[str, Any]) -> str:
    # No backslashes: pytest escapes them anew when it collects again in one process (mutmut).
    return ascii(vector["name"]).replace("\\", "%")


@pytest.mark.parametrize("vector", [v for v in _VECTORS if v["op"] == "pack"], ids=_ids)
def test_we_pack_what_javascript_packs_or_say_why(vector: dict[str, Any]) -> None:
    theirs: object = _bytes_of(vector) or _REFUSED
    try:
        ours: object = pack(_input_of(vector))
    except LocalProtocolError:
        ours = _REFUSED
    assert (ours != theirs) == (vector["name"] in _PACKED_OTHERWISE)


@pytest.mark.parametrize("vector", [v for v in _VECTORS if _bytes_of(v) is not None], ids=_ids)
def test_we_read_what_javascript_reads_or_say_why(vector: dict[str, Any]) -> None:
    data = _bytes_of(vector)
    assert data is not None
    if "error" in vector:
        theirs: object = _REFUSED
    else:
        theirs = _untag(vector["decoded"]) if "decoded" in vector else _input_of(vector)
    try:
        ours: object = unpack(data)
    except DecodeError:
        ours = _REFUSED
    assert (ours != theirs) == (data.hex() in _READ_OTHERWISE)


def test_every_reason_is_used_and_is_in_the_docs() -> None:
    assert set(_INPUTS) | set(_PACKED_OTHERWISE) <= {v["name"] for v in _VECTORS}
    assert set(_READ_OTHERWISE) <= {v.get("hex") for v in _VECTORS}
    assert set(_PACKED_OTHERWISE.values()) | set(_READ_OTHERWISE.values()) <= set(_ROWS)
