"""Where fuzzing begins: inputs made of what real PeerJS was seen to send.

Made anew from the recordings of the tests at every run; only inputs that once broke something
are files, in ``corpus``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

__all__ = ["dictionary", "seeds"]

_HERE: Final = Path(__file__).parent
_DATA: Final = _HERE.parent / "tests" / "proto" / "data"

_INSTEAD: Final[tuple[Any, ...]] = (5, None, "", [], {})
_WORDS: Final = (
    *("OPEN", "HEARTBEAT", "OFFER", "ANSWER", "CANDIDATE", "LEAVE", "EXPIRE", "ERROR"),
    *("ID-TAKEN", "INVALID-KEY", "type", "src", "dst", "payload", "msg", "sdp", "offer", "answer"),
    *("connectionId", "metadata", "label", "reliable", "serialization", "candidate", "data"),
    *("media", "binary", "binary-utf8", "json", "raw", "MsgPack", "alice", "bob", "close"),
    *("hello", "pake", "confirm", "challenge", "response", "welcome", "refused", "versions"),
    *("proof", "nonce", "hint", "methods", "pair", "secret", "generation", "entropy", "tag"),
    *("__peerData", "__proto__", "n", "total", "true", "false", "null", "\\ud800", "1e400"),
)


def seeds(target: str) -> Iterator[tuple[str, bytes]]:
    """Inputs for a target, each with a name."""
    match target:
        case "signaling_peer":
            yield from _peer_seeds()
        case "signaling_server":
            yield from _server_seeds()
        case "binarypack":
            yield from _vectors()
        case "msgpack_stream":
            yield from _vectors()
            yield "three", bytes.fromhex("a3616263 82a16101a16293c0c2c3 cb3ff8000000000000")
        case "two_peers":
            yield from _lives()
        case "http_streams":
            yield from _streams()
        case "fence":
            yield from _requests()
        case "http_proxy":
            yield from _pages()
        case "pairing":
            yield from _contacts()
        case _:
            # Choices: some of each kind, and the fuzzer finds the rest.
            for first in range(8):
                yield f"steps-{first}", bytes((first * 37 + n * n * 11) % 256 for n in range(200))
    for path in sorted((_HERE / "corpus" / target).glob("*")):
        yield f"corpus/{path.name}", path.read_bytes()


def dictionary() -> str:
    """Words of the protocol, in the syntax of libFuzzer."""
    words = [f'"{word}"' for word in _WORDS] + [f'"\\"{word}\\""' for word in _WORDS]
    return "\n".join(word.replace("\\ud", "\\\\ud") for word in words) + "\n"


def _samples() -> dict[str, dict[str, Any]]:
    recorded = json.loads((_DATA / "wire-samples.json").read_text())
    return {sample["name"]: sample["frame"] for sample in recorded["frames"]}


def _vectors() -> Iterator[tuple[str, bytes]]:
    recorded = json.loads((_DATA / "binarypack-vectors.json").read_text())
    for n, vector in enumerate(recorded["vectors"]):
        if (packed := bytes.fromhex(vector.get("hex") or ""))[4096:] == b"":
            yield f"vector-{n}", packed


def _peer_seeds() -> Iterator[tuple[str, bytes]]:
    """Each frame alone, and the lives of two connections: theirs, and ours."""
    sent = {name: _line(frame, src="alice", dst="bob") for name, frame in _samples().items()}
    for name, line in sent.items():
        yield name, line
        yield f"{name}, accepted", b"\n".join([line, b"!\0", b"!\2", b"!\3", b"!\5"])
    offer, candidate = sent["offer, data, binary"], sent["candidate, plain address"]
    yield (
        "theirs",
        b"\n".join(
            [
                candidate,
                offer,
                candidate,
                b"!\0",
                b"!\2",
                candidate,
                b"!\3",
                b"!\x0e\0\5",
                b"!\4\0\1",
            ]
        ),
    )
    answer = dict(_samples()["answer, data"])
    answer["payload"] = {**answer["payload"], "connectionId": "c0"}
    yield (
        "ours",
        b"\n".join(
            [b"!\6", b"!\1", _line(answer, src="alice"), b"!\3", b"!\x0f\0\5", b"!\5\4", b"!\x0c"]
        ),
    )
    yield "twice", b"\n".join([offer, offer, b"!\0", offer, sent["leave"], sent["expire"]])
    yield "deep", b"\n".join([b"!\6\0\x0b", b"!\1", b"!\6\0\x0a", b"!\1", b"!\7", b"!\1"])
    others = [sent["offer, data, json"], sent["offer, data, raw"]]
    yield "room", b"\n".join([offer, b"!\0", b"!\2", b"!\3", *others, offer])
    yield "early", b"\n".join([candidate] * 4 + [offer, candidate, b"!\0", b"!\x0a"])
    yield "refused", b"\n".join([sent["bad key, then close 1005"]] * 2 + [b"!\x0b"] * 2)
    for name in ("offer, data, binary", "answer, data", "candidate, plain address"):
        yield f"{name}, spoilt", b"\n".join([candidate, *_spoilt(_samples()[name]), offer, b"!\0"])
    for flags in range(16):
        yield (
            f"flags-{flags}",
            b"\n".join(
                [b"#" + bytes([flags]), b"!\x0d\0bob", sent["open"], offer, b"!\5\1", b"!\5\4"]
            ),
        )


def _pages() -> Iterator[tuple[str, bytes]]:
    """What ambianic's pages ask for, and how that may go on."""
    get = b'{"url":"http://localhost:8778/api/status?","method":"GET"}'
    post = b'{"url":"/api/echo?","json":{"message":"a"},"method":"POST"}'
    form = b'{"url":"/api/%C3%A9?a=b#c","data":{"a":"b","n":1},"method":"PUT"}'
    ping = b'{"url":"ping?","method":"GET"}'
    answer, wait = b"!\1\2\0\x08\0\0\0", b"!\1\3\2\0\3\2\0\2\0\x08\1\x40\0\0"
    yield "one", b"\n".join([get, answer, ping, b"!\0"])
    yield "bodies", b"\n".join([post, answer, form, wait, b"\xff" + post, wait])
    yield "many", b"\n".join([get, ping, post, form, get, ping, answer, wait, get])
    yield (
        "wrong",
        b"\n".join([b"5", b"{}", b'{"url":5}', post.replace(b"json", b"headers"), b"!\0"]),
    )
    yield "elsewhere", b"\n".join([get.replace(b"localhost", b"example.org"), b"!\0", get, answer])


def _contacts() -> Iterator[tuple[str, bytes]]:
    """First contacts that go well, or as far as a wrong code; and what else was written down."""
    yield "well", b"@\n" * 4
    yield "again and again", (b"@\n" * 4 + b"!\x02\x01\n") * 5
    yield "by and by", (b"@\n@\n!\x01\0\n") * 3
    recorded = json.loads((_DATA / "pairing-vectors.json").read_text("utf-8"))
    said = recorded["firstContact"]["said"]
    yield "replayed", "\n".join(said).encode()
    for n, vector in enumerate(recorded["handshakes"]):
        texts = [vector[name] for name in ("challenge", "response", "welcome")]
        yield f"handshake-{n}", "\n".join(texts).encode()
    for n, text in enumerate(said):
        message = json.loads(text)
        for member in message:
            for value in _INSTEAD:
                spoilt = json.dumps(message | {member: value})
                yield f"{n}, {member}, {value}", ("@\n" * (n // 2) + spoilt).encode()


def _lives() -> Iterator[tuple[str, bytes]]:
    """Dials of every serialization, with and without order, and how they may go on."""
    one, carry, late, long = b"\0\4\0\0", b"\0\4\0\x17", b"\0\x09\0\2", b"\0\1\0\6\x40\0\0"
    goes_on = {
        "said": b"\0\1\0\0\5" + long + b"\1\2\0\0\7" + carry + carry,
        "flushed": long + b"\0\7\0\5" * 4 + b"\0\x0a\0\1" + carry,
        "both flushed": long + b"\1\1\0\0\7\1\x0a\0\1\0\x0a\0\1" + carry,
        "closed": long + b"\1\x0a\0\0" + carry + late,
        "broken": long + b"\0\x0e\0\0" + carry,
        "forged": b"\0\x0c\0\5\x81\xba__peerData" + carry,
        "left": b"\0\x0f\0\0\1" + carry,
        "lost": b"\1\x0f\0\1" + carry + late,
    }
    for name in range(4):
        for way in (0, 1):
            dial = bytes([0, 0, 0, name, way, 1])
            yield f"dial {name} {way}, not delivered", dial + one + b"\0\x0b\0\0\0" + late
            yield f"dial {name} {way}, delivered twice", dial + one + b"\0\x0b\0\1\0" + carry
            for what, rest in goes_on.items():
                yield f"dial {name} {way}, {what}", dial + carry + rest
    yield "call", b"\0\x0d\0" + carry + b"\0\x0a\0\0" + carry


def _requests() -> Iterator[tuple[str, bytes]]:
    """Paths as they come and as they are forged, then a method and headers."""
    for n, path in enumerate(
        (
            b"/",
            b"/readings?last=1",
            b"/%7Ealice/a%20b",
            b"/../x",
            b"/%252e%252e/",
            b"/..;/x",
            b"//x",
        )
    ):
        yield f"path-{n}", path
    yield (
        "headers",
        b"POST\naccept=*/*\ncontent-length=5\nconnection=x-a\nx-a=1\nx_forwarded_for=::1",
    )
    for first in range(8):
        yield f"pieces-{first}", bytes((first * 37 + n * n * 11) % 256 for n in range(20))


def _streams() -> Iterator[tuple[str, bytes]]:
    """A server's streams and a client's, and how they may go on."""
    asked, opened = b"\0\0\0\0\0\1", b"\0\0\0\1\0\0"
    answered, accepted, read = b"\7\0\0\1", b"\7\0\1\0", b"\x0e\7"
    body, message, taken = b"\0\4\0\1\0", b"\0\7\0\4\3abc", b"\x0d\0\0\x28"
    server = {
        "answered": asked + answered + read,
        "uploaded": b"\0\0\0\2\0\0" + body + body + taken + answered + read,
        "refused": asked * 8 + read + b"\x0f\0\2" * 8 + asked,
        "WebSocket": opened + accepted + read + message * 3 + b"\x0a\0\1\0\0" + read,
        "closed": opened + accepted + read + b"\0\x0c\0\0\3bye" + read,
        "reset": opened + accepted + message + b"\0\x0b\0\1\0" + b"\x0f\0\2" + read,
    }
    client = {
        "answered": b"\6\0\1" + read + b"\0\3\0\0\0\0" + body + b"\0\7\0\1\0",
        "WebSocket": b"\6\1\0" + read + b"\0\3\0\1\0\0" + message + b"\x0b\0\0\0" + read,
        "given up": b"\6\0\1\x0c\0\0\0" * 6 + read,
        "gone": b"\6\0\0" + read + b"\0\x0d\0\3bye",
    }
    for side, lives in ((b"\0\1", server), (b"\1\1", client)):
        for what, life in lives.items():
            yield f"{'client' if side[0] else 'server'}, {what}", side + life


def _server_seeds() -> Iterator[tuple[str, bytes]]:
    for name, frame in _samples().items():
        line = _line(frame, dst="bob")
        yield name, line
        yield f"{name}, waiting", b"\n".join([_line(frame, dst="c"), b"!\3\2\1", b"!\0\2", line])
    for url in json.loads((_DATA / "wire-samples.json").read_text())["websocket_urls"]:
        yield "url", str(url).encode()
    target = b"/my/peerjs?key=peerjs&id=eve&token=x&version=1.5.5"
    asked = [b"GET " + path for path in (b"/my", b"/my/peerjs/id", b"/my/peerjs/peers", target)]
    yield "http", b"\n".join([target, *asked, b"OPTIONS /my/peerjs/id", b"HEAD /", b"!\2\3"])
    yield "binary", b'\xff{"type":"LEAVE"}\n!\1\1'
    yield "spoilt", b"\n".join(_spoilt(_samples()["offer, data, binary"]))


def _spoilt(frame: dict[str, Any]) -> Iterator[bytes]:
    """The frame with each of its members, in turn, something else."""
    frame["src"] = "alice"
    if "sdp" in frame["payload"]:
        frame["payload"]["sdp"] = {"sdp": "v=0"}
    for members in (frame, frame["payload"]):
        for member in list(members):
            for instead in _INSTEAD:
                kept, members[member] = members[member], instead
                yield json.dumps(frame).encode()
                members[member] = kept


def _line(frame: dict[str, Any], **ends: str) -> bytes:
    return json.dumps({**frame, **ends}).encode()
