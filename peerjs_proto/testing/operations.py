"""Everything that can be done to a peer or a server, as values: draw some, and do them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from peerjs_proto import errors, server_io
from peerjs_proto.backoff import Redial
from peerjs_proto.endpoint import Endpoint

from ._hypothesis import st
from .frames import frames, hostile_frames
from .messages import hostile_texts, texts
from .values import binary_values, json_values

__all__ = ["Operation", "peer_operations", "server_operations"]

_numbers = st.integers(1, 6)
_peers = st.sampled_from(["alice", "bob", "carol"])
_connection_ids = st.sampled_from(["dc_1", "dc_2", "mc_1"])


@attrs.frozen
class Operation:
    """A call of one method of a PeerProtocol or a ServerProtocol."""

    method: str
    arguments: tuple[Any, ...] = ()
    options: Mapping[str, Any] = attrs.field(factory=dict)
    timed: bool = False
    "Whether the method takes ``now``."

    def do(self, core: Any, now: float) -> Any:
        """Call it; what it returns. Raises what the method does."""
        options = {**self.options, "now": now} if self.timed else self.options
        return getattr(core, self.method)(*self.arguments, **options)


def peer_operations(
    *,
    connections: st.SearchStrategy[int] = _numbers,
    peers: st.SearchStrategy[str] = _peers,
    connection_ids: st.SearchStrategy[str] = _connection_ids,
) -> st.SearchStrategy[Operation]:
    """Any input of a :class:`~peerjs_proto.peer.PeerProtocol`, of every kind, sense or not.

    ``connections`` are the core's numbers, the first is 1; ``peers`` and ``connection_ids`` say
    who signals of what. The first peer's name may well be the core's own.
    """
    narrowed = {"src": peers, "connection_ids": connection_ids}
    dial = {"connection_id": connection_ids, "metadata": json_values()}
    reason = st.text(max_size=20)
    error = st.builds(errors.PeerError, reason)
    return st.one_of(
        _calls("start", timed=True),
        _calls("disconnect"),
        _calls("reconnect", timed=True),
        _calls("move", st.lists(st.builds(Endpoint, st.booleans(), peers, st.just(9000)))),
        _calls(
            "connect",
            peers,
            **dial,
            label=st.none() | st.text(max_size=10),
            serialization=st.sampled_from(["binary", "json", "raw", "MsgPack", "no-such"]),
            reliable=st.booleans(),
            redial=st.none() | st.just(Redial()),
            timed=True,
        ),
        _calls("call", peers, **dial, timed=True),
        _calls("accept", connections, timed=True),
        _calls("is_reliable", connections),
        _calls("has_redial", connections),
        _calls("send", connections, binary_values()),
        _calls("withdraw", connections, st.integers(0, 9)),
        _calls("sent", connections),
        _calls("close", connections, flush=st.booleans(), timed=True),
        _calls("fail", connections, error),
        _calls("shut_down"),
        _calls(
            "receive_http",
            st.sampled_from([200, 404, 500]),
            st.sampled_from([b"alice", b"<html>", b"\xff", b""]),
            timed=True,
        ),
        _calls("http_failed", reason, timed=True),
        _calls("socket_opened", timed=True),
        _calls("socket_closed", reason, timed=True),
        _calls("receive_text", texts(**narrowed) | hostile_texts(**narrowed), timed=True),
        _calls("offer_made", connections, reason),
        _calls("answer_made", connections, reason),
        _calls("candidate_found", connections, st.fixed_dictionaries({"candidate": reason})),
        _calls("channel_opened", connections, st.integers(1, 300_000)),
        _calls("media_connected", connections),
        _calls("receive_frame", connections, frames() | hostile_frames(), timed=True),
        _calls("next_frame", connections),
        _calls("channel_closed", connections),
        _calls("rtc_failed", connections, reason),
        _calls("handle_timeout", timed=True),
    )


def server_operations(
    *, clients: st.SearchStrategy[int] = _numbers, peers: st.SearchStrategy[str] = _peers
) -> st.SearchStrategy[Operation]:
    """Any input of a :class:`~peerjs_proto.server.ServerProtocol`, of every kind, sense or not.

    ``clients`` are its handles, the first is 1; a handle that was never given is misuse.
    """
    targets = st.one_of(
        st.builds("/peerjs?key=peerjs&id={}&token={}".format, peers, st.sampled_from("xy")),
        st.text(max_size=40),
    )
    rooms = st.builds(
        "/peerjs/{}/{}/room/{}".format,
        peers,
        st.sampled_from("xy"),
        st.sampled_from(["id", "chess/join", "chess/members", "chess/leave"]),
    )
    requests = st.builds(
        server_io.HttpRequest,
        st.sampled_from(["GET", "HEAD", "OPTIONS", "POST"]),
        st.sampled_from(["/", "/peerjs/id", "/peerjs/peers", "/other"]) | targets | rooms,
        st.dictionaries(st.sampled_from(["origin", "access-control-request-headers"]), st.text()),
    )
    said = texts(dst=peers) | hostile_texts(dst=peers)
    return st.one_of(
        _calls("client_connected", targets, timed=True),
        _calls("receive_message", clients, said, timed=True),
        _calls("client_heard", clients, timed=True),
        _calls("client_closed", clients),
        _calls("handle_timeout", timed=True),
        _calls("is_websocket", targets),
        _calls("respond", requests, fresh_id=peers.map(_Always), timed=True),
        _calls("credentials", targets),
        _calls("set_others", st.booleans()),
        _calls("receive_forwarded", peers, texts(dst=peers)),
        _calls("client_moved", clients),
        _calls("shut_down"),
    )


@attrs.frozen
class _Always:
    """A function that returns this, and says so where it is printed."""

    value: str

    def __call__(self) -> str:
        return self.value


def _calls(
    method: str,
    *arguments: st.SearchStrategy[Any],
    timed: bool = False,
    **options: st.SearchStrategy[Any],
) -> st.SearchStrategy[Operation]:
    return st.builds(
        Operation,
        st.just(method),
        st.tuples(*arguments),
        st.fixed_dictionaries(options),
        st.just(timed),
    )
