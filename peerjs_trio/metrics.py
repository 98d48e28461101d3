"""What a server tells Prometheus: numbers, without ids and addresses.

docs/server.md has the names. Whoever changes one breaks somebody's alarms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from enum import Enum

try:
    from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
    from prometheus_client.exposition import choose_encoder
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector
except ImportError as error:
    raise ImportError(
        'metrics need prometheus_client: pip install "peerjs-sansio[metrics]"'
    ) from error

from peerjs_proto.server_io import (
    ClientGone,
    ClientRefused,
    ClientRegistered,
    Departure,
    Fault,
    HttpReply,
    HttpRequest,
    MessageRefused,
    QueueExpired,
    Refusal,
    ServerEvent,
    ServerStatistics,
)

__all__ = ["ServerMetrics"]


class ServerMetrics(Collector):
    """An observer of a :class:`~peerjs_trio.hub.Hub` that counts, and the page with the counts."""

    def __init__(
        self,
        statistics: Callable[[], ServerStatistics],
        *,
        bus_healthy: Callable[[], bool] | None = None,
        certificate_expires: Callable[[], datetime] | None = None,
    ) -> None:
        """
        Args:
            bus_healthy: Whether the servers beside this one can be reached; None without any.
            certificate_expires: When that in use ends; None without TLS.
        """
        self._statistics = statistics
        self._bus_healthy = bus_healthy
        self._certificate_expires = certificate_expires
        self._registrations: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()
        self._departures: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._expired_queues = 0
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    # --- counting -----------------------------------------------------------------------------

    def __call__(self, event: ServerEvent) -> None:
        """Count an event."""
        match event:
            case ClientRegistered(_, _, replaces):
                self._registrations["new" if replaces is None else "takeover"] += 1
            case ClientRefused(_, reason):
                self._refusals[_word(reason)] += 1
            case ClientGone(_, _, reason):
                self._departures[_word(reason)] += 1
            case MessageRefused(_, _, fault):
                self._faults[_word(fault)] += 1
            case QueueExpired():
                self._expired_queues += 1

    # --- telling ------------------------------------------------------------------------------

    def page(self, request: HttpRequest) -> HttpReply:
        """``/metrics``, in the format that the request asks for."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        headers = {"Cache-Control": "no-store"}
        return HttpReply(200, encode(self._registry), content_type, headers)

    @contextmanager
    def served(self, host: str, port: int) -> Iterator[int]:
        """Serve the page at an address of its own, from a thread; the port is the value.

        Raises OSError where that is in use or not ours.
        """
        server, thread = start_http_server(port, host, self._registry)
        try:
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def collect(self) -> Iterator[Metric]:
        """As prometheus_client asks for it, from the thread of :meth:`served` too."""
        now = self._statistics()
        gauge, counter = GaugeMetricFamily, CounterMetricFamily
        yield gauge("peerserver_clients", "Clients that are registered.", now.clients)
        yield gauge(
            *("peerserver_waiting_destinations", "Absent ids that messages wait for."),
            now.waiting_destinations,
        )
        yield gauge(
            *("peerserver_waiting_messages", "Messages that wait for them."), now.waiting_messages
        )
        yield gauge("peerserver_waiting_bytes", "The same in bytes.", now.waiting_bytes)
        yield counter(
            *("peerserver_relayed_messages", "Messages handed on, at once or after waiting."),
            now.relayed,
        )
        yield counter("peerserver_expired_messages", "Messages that waited in vain.", now.expired)
        yield counter(
            *("peerserver_expired_queues", "Absent ids that were waited for in vain."),
            self._expired_queues,
        )
        yield _counter(
            *("peerserver_registrations", "Clients that were let in.", "how"),
            {how: self._registrations[how] for how in ("new", "takeover")},
        )
        yield _counter(
            *("peerserver_refusals", "WebSockets that were turned away.", "reason"),
            _for_all(Refusal, self._refusals),
        )
        yield _counter(
            *("peerserver_departures", "Clients that are gone.", "reason"),
            _for_all(Departure, self._departures),
        )
        yield _counter(
            *("peerserver_refused_messages", "Messages that went no further.", "reason"),
            _for_all(Fault, self._faults),
        )
        if self._bus_healthy is not None:
            yield gauge(
                *("peerserver_bus_healthy", "Whether the servers beside this one are reached."),
                float(self._bus_healthy()),
            )
        if self._certificate_expires is not None:
            yield gauge(
                *("peerserver_certificate_expiry_timestamp_seconds", "When that in use ends."),
                self._certificate_expires().timestamp(),
            )


def _counter(
    name: str, documentation: str, label: str, counts: Mapping[str, int]
) -> CounterMetricFamily:
    family = CounterMetricFamily(name, documentation, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family


def _for_all(reasons: type[Enum], counts: Counter[str]) -> dict[str, int]:
    """Zeros too: who asks for a rate needs to see a count before it rises."""
    return {_word(reason): counts[_word(reason)] for reason in reasons}


def _word(reason: Enum) -> str:
    return reason.name.lower()
