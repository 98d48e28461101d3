"""What Prometheus is told."""

from __future__ import annotations

import sys
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse

from peerjs_proto.server import ServerProtocol
from peerjs_proto.server_io import HttpRequest
from peerjs_trio.metrics import ServerMetrics

DOCS = Path(__file__).parents[2] / "docs"


def drain(server: ServerProtocol, metrics: ServerMetrics) -> None:
    while (event := server.next_event()) is not None:
        metrics(event)


def samples(metrics: ServerMetrics, accept: str = "") -> dict[str, float]:
    """By name and label: ``peerserver_refusals_total{bad_key}``."""
    headers = {"accept": accept} if accept else {}
    reply = metrics.page(HttpRequest("GET", "/metrics", headers))
    assert reply.status == 200
    families = (parse_open if "openmetrics" in reply.content_type else parse)(reply.body.decode())
    return {
        sample.name + "".join(f"{{{value}}}" for value in sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def busy(server: ServerProtocol, metrics: ServerMetrics) -> None:
    """One of everything."""
    query = "/peerjs?key=peerjs&id={}&token={}"
    alice = server.client_connected(query.format("alice", "1"), 0.0)
    server.client_connected(query.format("alice", "2"), 0.0)
    server.client_connected("/peerjs?key=wrong&id=a&token=b", 0.0)
    bob = server.client_connected(query.format("bob", "3"), 0.0)
    server.client_connected(query.format("bob", "3"), 0.0)
    server.receive_message(alice, '{"type": "OFFER", "dst": "bob", "payload": 1}', 1.0)
    server.receive_message(alice, '{"type": "OFFER", "dst": "nobody", "payload": 1}', 1.0)
    server.receive_message(alice, "5", 1.0)
    server.client_closed(bob)
    drain(server, metrics)


def test_it_counts_what_happens() -> None:
    server = ServerProtocol()
    metrics = ServerMetrics(server.statistics)
    busy(server, metrics)
    found = samples(metrics)
    assert found["peerserver_clients"] == 2
    assert found["peerserver_waiting_destinations"] == 1
    assert found["peerserver_waiting_messages"] == 1
    assert found["peerserver_waiting_bytes"] > 20
    assert found["peerserver_relayed_messages_total"] == 1
    assert found["peerserver_registrations_total{new}"] == 2
    assert found["peerserver_registrations_total{takeover}"] == 1
    assert found["peerserver_refusals_total{id_taken}"] == 1
    assert found["peerserver_refusals_total{bad_key}"] == 1
    assert found["peerserver_refusals_total{full}"] == 0
    assert found["peerserver_departures_total{replaced}"] == 1
    assert found["peerserver_refused_messages_total{malformed}"] == 1
    server.handle_timeout(6.5)
    drain(server, metrics)
    found = samples(metrics)
    assert found["peerserver_expired_messages_total"] == 1
    assert found["peerserver_expired_queues_total"] == 1
    assert found["peerserver_waiting_bytes"] == 0


def test_what_is_not_there_is_not_said() -> None:
    server = ServerProtocol()
    found = samples(ServerMetrics(server.statistics))
    assert not any("bus" in name or "certificate" in name for name in found)
    end = datetime(2100, 1, 1, tzinfo=UTC)
    metrics = ServerMetrics(
        server.statistics, bus_healthy=lambda: False, certificate_expires=lambda: end
    )
    found = samples(metrics)
    assert found["peerserver_bus_healthy"] == 0
    assert found["peerserver_certificate_expiry_timestamp_seconds"] == end.timestamp()


def test_nobody_is_named() -> None:
    server = ServerProtocol()
    metrics = ServerMetrics(server.statistics)
    busy(server, metrics)
    body = metrics.page(HttpRequest("GET", "/metrics")).body.decode()
    assert "alice" not in body
    assert "nobody" not in body


def test_openmetrics_is_spoken_with_who_asks_for_it() -> None:
    server = ServerProtocol()
    found = samples(ServerMetrics(server.statistics), "application/openmetrics-text; version=1.0.0")
    assert found["peerserver_clients"] == 0


def test_it_can_have_a_port_of_its_own() -> None:
    server = ServerProtocol()
    metrics = ServerMetrics(server.statistics)
    with metrics.served("127.0.0.1", 0) as port:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert b"peerserver_clients 0.0" in answer.read()
        with pytest.raises(OSError, match="in use"), metrics.served("127.0.0.1", port):
            pass
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10)


def test_every_name_is_documented() -> None:
    page = (DOCS / "server.md").read_text("utf-8")
    server = ServerProtocol()
    metrics = ServerMetrics(
        server.statistics,
        bus_healthy=lambda: True,
        certificate_expires=lambda: datetime(2100, 1, 1, tzinfo=UTC),
    )
    ours = {name.partition("{")[0] for name in samples(metrics) if name.startswith("peerserver_")}
    assert [name for name in sorted(ours) if f"`{name}`" not in page] == []


def test_without_its_library_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "peerjs_trio.metrics")
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ImportError, match=r'pip install "peerjs-sansio\[metrics\]"'):
        __import__("peerjs_trio.metrics")
