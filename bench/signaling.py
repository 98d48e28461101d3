"""An OFFER of 2 KB: parsed and produced, and relayed by a server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from bench.measure import compare, timer
from bench.node import run_node
from bench.table import Table
from peerjs_proto import jsontext, messages
from peerjs_proto.limits import DEFAULT_LIMITS
from peerjs_proto.server import ServerProtocol
from peerjs_proto.server_io import SendText

__all__ = ["OFFER", "measure"]


def measure(rounds: int, *, quick: bool = False) -> Table:
    jobs: dict[str, Callable[[], Any]] = {
        "json.loads and json.dumps": _bare,
        "messages.decode": lambda: messages.decode(OFFER),
        "messages.encode": _encode(),
        "both": lambda: messages.encode(messages.decode(OFFER)),
        "a relay, all of the core": _relay(),
        "a relay, its JSON alone": _relayed_json,
    }
    bare = timer(_bare)
    with run_node() as node:
        theirs = node.timer("json", OFFER.encode())
        contests = [(timer(job), other) for job in jobs.values() for other in (bare, theirs)]
        contests.append((timer(_relayed_json), timer(_relay())))
        timed = iter(compare(contests, rounds=rounds, quick=quick))
    rows: list[list[str | float]] = []
    for name in jobs:
        to_bare, to_node = next(timed), next(timed)
        rows.append(
            [
                name,
                to_node.ours * 1e6,
                to_bare.theirs * 1e6,
                to_bare.ratio,
                to_node.theirs * 1e6,
                to_node.ratio,
            ]
        )
    share = next(timed)
    return Table(
        f"an OFFER of {len(OFFER)} bytes, µs of CPU, and how many times as fast as json.loads and "
        f"json.dumps, and as JSON.parse and JSON.stringify in Node {node.version}",
        ["what", "µs", "json", "ratio", "Node", "ratio of Node"],
        rows,
        f"Parsing and producing is {100 / share.ratio:.0f} % of a relay.",
    )


def _bare() -> str:
    return json.dumps(json.loads(OFFER), separators=(",", ":"))


def _encode() -> Callable[[], Any]:
    offer = messages.decode(OFFER)
    return lambda: messages.encode(offer)


def _relay() -> Callable[[], Any]:
    """One client of a server offers, and the other is told."""
    server = ServerProtocol()
    alice, _ = (
        server.client_connected(f"/peerjs?key=peerjs&id={id}&token=secret", 0.0)
        for id in ("alice", "bob")
    )

    def relay() -> None:
        server.receive_message(alice, OFFER, 0.0)
        while (command := server.next_command()) is not None:
            relayed.append(command)
        del relayed[:-1]

    relayed: list[Any] = []
    relay()
    assert isinstance(relayed[-1], SendText)
    assert relayed[-1].text.count("alice") == 1
    return relay


def _relayed_json() -> str:
    """The JSON in a relay: read as strictly, and written as carefully."""
    depth = DEFAULT_LIMITS.nesting
    return jsontext.dumps(jsontext.loads(OFFER, max_depth=depth), max_depth=depth)


_SDP: Final = "\r\n".join(
    [
        "v=0",
        "o=- 2667580922590552200 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "a=msid-semantic: WMS",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        *(
            f"a=candidate:{3000000000 + n} 1 udp 2122260223 192.168.{n}.17 {50000 + n} typ host "
            "generation 0 network-id 1"
            for n in range(15)
        ),
        "a=ice-ufrag:UUo7",
        "a=ice-pwd:jDiLnzhnR9ovaeFv1C46ajkv",
        "a=fingerprint:sha-256 " + ":".join(["A4", "66", "5E", "78"] * 8),
        "a=setup:actpass",
        "a=mid:0",
        "a=sctp-port:5000",
        "a=max-message-size:262144",
        "",
    ]
)

OFFER: Final = messages.encode(
    messages.Offer(
        dst="bob",
        kind="data",
        connection_id="dc_k8xj3m2q9fa",
        sdp=_SDP,
        label="dc_k8xj3m2q9fa",
        reliable=False,
        serialization="binary",
    )
)
