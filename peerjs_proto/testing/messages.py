"""Signaling messages: every kind there is."""

from __future__ import annotations

from peerjs_proto import messages

from ._hypothesis import st
from .values import json_values

__all__ = ["ids", "signaling"]

ids = st.from_regex(r"[A-Za-z0-9]{1,8}([ _-][A-Za-z0-9]{1,4}){0,2}", fullmatch=True)
"Valid PeerJS ids."

_some_text = st.text(min_size=1, max_size=30)
_kinds = st.sampled_from(["data", "media"])
_maybe_id = st.none() | ids
_extra = st.dictionaries(st.sampled_from(["future", "x-keepalive"]), json_values(), max_size=2)


def signaling() -> st.SearchStrategy[messages.Message]:
    """Any message, of every kind."""
    ends = {"src": _maybe_id, "dst": _maybe_id}
    negotiation = {**ends, "kind": _kinds, "connection_id": _some_text, "extra": _extra}
    return st.one_of(
        st.just(messages.Open()),
        st.just(messages.Heartbeat()),
        st.builds(messages.Refused, st.text(max_size=100)),
        st.builds(messages.IdTaken, st.text(max_size=100)),
        st.builds(messages.InvalidKey, st.text(max_size=100)),
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
            serialization=st.none() | st.sampled_from(["binary", "json", "raw"]),
            **negotiation,
        ),
    )
