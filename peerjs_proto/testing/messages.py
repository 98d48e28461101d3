"""Signaling messages: every kind there is, their texts, and texts meant to hurt."""

from __future__ import annotations

import json
from typing import Any

from peerjs_proto import messages

from ._hypothesis import st
from .mutations import mutated
from .values import json_values

__all__ = ["hostile_texts", "ids", "signaling", "texts"]

ids = st.from_regex(r"[A-Za-z0-9]{1,8}([ _-][A-Za-z0-9]{1,4}){0,2}", fullmatch=True)
"Valid PeerJS ids."

_maybe_ids = st.none() | ids
_some_text = st.text(min_size=1, max_size=30)
_told = st.text(max_size=100)
_extra = st.dictionaries(st.sampled_from(["future", "x-keepalive"]), json_values(), max_size=2)


def signaling(
    *,
    src: st.SearchStrategy[str | None] = _maybe_ids,
    dst: st.SearchStrategy[str | None] = _maybe_ids,
    connection_ids: st.SearchStrategy[str] = _some_text,
) -> st.SearchStrategy[messages.Message]:
    """Any message, of every kind.

    Narrow ``src`` and ``connection_ids`` down to a few, and messages concern one another.
    """
    ends = {"src": src, "dst": dst}
    negotiation = {
        **ends,
        "kind": st.sampled_from(["data", "media"]),
        "connection_id": connection_ids,
        "extra": _extra,
    }
    return st.one_of(
        st.just(messages.Open()),
        st.just(messages.Heartbeat()),
        st.builds(messages.Refused, _told),
        st.builds(messages.IdTaken, _told),
        st.builds(messages.InvalidKey, _told),
        st.builds(messages.Leave, **ends),
        st.builds(messages.Expire, **ends),
        st.builds(messages.Unknown, type=st.just("NEW"), payload=json_values(), **ends),
        st.builds(messages.Answer, sdp=_some_text, **negotiation),
        st.builds(
            messages.Candidate,
            candidate=st.dictionaries(st.text(max_size=8), json_values(), max_size=4),
            **negotiation,
        ),
        st.builds(
            messages.Offer,
            sdp=_some_text,
            metadata=json_values(),
            label=st.none() | st.text(max_size=20),
            reliable=st.none() | st.booleans(),
            serialization=st.none() | st.sampled_from(["binary", "json", "raw", "MsgPack"]),
            **negotiation,
        ),
    )


def texts(**narrowed: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    """What comes over the WebSocket for any message; arguments as for :func:`signaling`."""
    return signaling(**narrowed).map(messages.encode)


def hostile_texts(**narrowed: st.SearchStrategy[Any]) -> st.SearchStrategy[str | bytes]:
    """What no honest peer or server sends; arguments as for :func:`signaling`.

    Any text, bytes, members of wrong types, messages damaged on the way: some of it is valid
    after all. Sizes stay small; what exceeds a limit is quicker written by hand.
    """
    wrong_members: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
        {"type": _types},
        optional={
            "src": narrowed.get("src", st.none()) | json_values(),
            "dst": narrowed.get("dst", st.none()) | json_values(),
            "payload": _payloads(narrowed.get("connection_ids", _some_text)) | json_values(),
        },
    )
    return st.one_of(
        st.text(max_size=60),
        st.binary(max_size=60),
        wrong_members.map(json.dumps),
        mutated(texts(**narrowed).map(str.encode)).map(lambda data: data.decode("utf-8", "ignore")),
    )


def _payloads(connection_ids: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    """What is nearly the payload of an OFFER, an ANSWER or a CANDIDATE."""
    wrong = json_values()
    return st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["data", "media", "video", "", 5]),
            "connectionId": connection_ids | wrong,
            "sdp": st.fixed_dictionaries({"sdp": _some_text | wrong}) | wrong,
            "candidate": st.dictionaries(_some_text, wrong, max_size=2) | wrong,
            "metadata": wrong,
            "label": wrong,
            "reliable": wrong,
            "serialization": st.sampled_from(["binary", "no-such"]) | wrong,
        },
    )


_types = st.sampled_from(
    [
        *("OPEN", "ERROR", "ID-TAKEN", "INVALID-KEY", "HEARTBEAT", "LEAVE", "EXPIRE"),
        *("OFFER", "ANSWER", "CANDIDATE", "X", "", 5, None),
    ]
)
