"""Where the msgpack library is not installed: everything else works, and errors say what to do."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

EXTRA = r"MsgPack needs the extra: pip install peerjs-sansio\[msgpack\]"


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """``peerjs_proto.peer`` and all that it needs, imported anew without the library."""
    for name in [name for name in sys.modules if name.startswith("peerjs_proto")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "msgpack", None)  # importing it fails
    import peerjs_proto.peer

    return peerjs_proto.peer


def _fresh(name: str) -> Any:
    return sys.modules[f"peerjs_proto.{name}"]


def test_the_registry_has_the_others(core: ModuleType) -> None:
    assert list(_fresh("serialization").SERIALIZATIONS) == [
        "binary",
        "binary-utf8",
        "json",
        "raw",
        "none",
    ]
    with pytest.raises(
        _fresh("errors").LocalProtocolError, match="unknown serialization 'Msgpack'"
    ):
        _fresh("serialization").serializer_for("Msgpack", _fresh("limits").DEFAULT_LIMITS)


def test_dialling_names_the_extra(core: ModuleType) -> None:
    peer = _open_peer(core)
    with pytest.raises(_fresh("errors").LocalProtocolError, match=EXTRA):
        peer.connect("bob", connection_id="dc_1", serialization="MsgPack", now=0.0)


def test_refusing_an_offer_names_the_extra(core: ModuleType) -> None:
    peer = _open_peer(core)
    peer.receive_text(
        '{"type":"OFFER","src":"bob","payload":{"type":"data","connectionId":"dc_1","label":"l",'
        '"serialization":"MsgPack","reliable":true,"sdp":{"type":"offer","sdp":"v=0"}}}',
        0.0,
    )
    (refused,) = iter(peer.next_event, None)
    assert type(refused).__name__ == "SignalingRefused"
    with pytest.raises(AssertionError, match=EXTRA):
        raise AssertionError(refused)


def test_an_applications_own_takes_its_place(core: ModuleType) -> None:
    mine = {
        **_fresh("serialization").SERIALIZATIONS,
        "MsgPack": _fresh("serialization").RawSerializer,
    }
    assert _fresh("serialization").serializer_for("MsgPack", _fresh("limits").DEFAULT_LIMITS, mine)


def _open_peer(core: ModuleType) -> Any:
    endpoint = _fresh("endpoint").Endpoint.parse("http://server.example:9000/")
    peer = core.PeerProtocol(endpoint, id="alice", token="t")
    peer.start(0.0)
    peer.socket_opened(0.0)
    peer.receive_text('{"type":"OPEN"}', 0.0)
    while peer.next_event() is not None:
        pass
    return peer
