"""``peerjs serve``: a PeerServer, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import anyio.abc
import trio

from peerjs_proto.endpoint import DEFAULT_KEY
from peerjs_proto.errors import LocalProtocolError
from peerjs_trio import systemd
from peerjs_trio.background import open_background
from peerjs_trio.observe import EventLog, log, log_to_stderr
from peerjs_trio.server import PeerServer, open_server
from peerjs_trio.signals import stop_on_signal
from peerjs_trio.tls import CertificateError, Certificates

from .config import ConfigError, Settings, gather
from .files import allow_open_files
from .health import check_health
from .options import add_arguments
from .prepare import Prepared, prepare

if TYPE_CHECKING:
    _SubParsers = argparse._SubParsersAction[argparse.ArgumentParser]

__all__ = ["add_parser", "run"]

_HANGUP: Final = getattr(signal, "SIGHUP", None)  # not on Windows
_DAY: Final = 24 * 3600.0
_SLACK: Final = 2.0
"Seconds beyond ``stop_timeout`` for all that is not clients."


def add_parser(subparsers: _SubParsers) -> None:
    """Add the command's own arguments; :func:`run` takes what they parse to."""
    parser = subparsers.add_parser(
        "serve",
        help="run a PeerServer",
        description="Run a PeerServer, for peers in pages and in Python, until Ctrl-C. It takes "
        "the options of npm's peerjs as they are, with - or _ in their names. Each can also "
        "stand in the environment, as PEERSERVER_ and its name in capitals, and in a TOML file.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE", help="TOML file with options")
    parser.add_argument(
        "--check", action="store_true", help="validate all options, and end without serving"
    )
    parser.add_argument(
        "--health", action="store_true", help="ask the server of these options how it is, and end"
    )
    add_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until a signal; the exit status: 0, 2 for wrong options, 1 if it cannot start."""
    file = args.config or os.environ.get("PEERSERVER_CONFIG")
    try:
        settings = gather(vars(args), os.environ, Path(file) if file else None)
        if args.health:
            return check_health(settings)
        prepared = prepare(settings)
        if args.check:
            print("peerjs serve: these options are right")
            return 0
        log_to_stderr(settings["log_format"], settings["log_level"])
        if settings["workers"] > 1:
            return _serve_in_workers(settings, prepared)
        _work(settings, prepared, 0, systemd.listener(), lambda: None)
    except KeyboardInterrupt:
        pass  # before our own handler was in place
    except ConfigError as error:
        print(f"peerjs serve: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"peerjs serve: {error.strerror or error}", file=sys.stderr)
        return 1
    except LocalProtocolError as error:
        print(f"peerjs serve: {error}", file=sys.stderr)
        return 1
    return 0


def _serve_in_workers(settings: Settings, prepared: Prepared) -> int:
    from .workers import share_port, supervise

    count = settings["workers"]
    listener = systemd.listener()
    listeners = (
        [listener] * count if listener else share_port(settings["host"], settings["port"], count)
    )

    def work(number: int, listener: socket.socket, ready: Callable[[], None]) -> int:
        try:
            _work(settings, prepared, number, listener, ready)
        except OSError as error:
            print(f"peerjs serve: {error.strerror or error}", file=sys.stderr)
            return 1
        return 0

    return supervise(
        work,
        listeners,
        stop_signals=_stop_signals(prepared.certificates),
        stop_timeout=settings["stop_timeout"],
    )


def _work(
    settings: Settings,
    prepared: Prepared,
    number: int,
    listener: socket.socket | None,
    ready: Callable[[], None],
) -> None:
    with _deadline(settings["stop_timeout"]) as stopping:
        trio.run(_serve, settings, prepared, stopping, number, listener, ready)


async def _serve(
    settings: Settings,
    prepared: Prepared,
    stopping: threading.Event,
    number: int,
    listener: socket.socket | None,
    ready: Callable[[], None],
) -> None:
    certificates = prepared.certificates
    with ExitStack() as stack:
        async with (
            stop_on_signal(*_stop_signals(certificates)),
            open_server(
                **prepared.arguments,
                listener=listener,
                stop_timeout=settings["stop_timeout"],
            ) as server,
            open_background() as tasks,
            AsyncExitStack() as announced,
        ):
            allow_open_files(prepared.arguments["limits"].sockets)
            server.hub.observers.append(EventLog())
            _serve_metrics(server, settings, prepared, number, stack)
            if _HANGUP is not None and _HANGUP not in _stop_signals(certificates):
                await tasks.start(_reload_on_hangup, _HANGUP, certificates, server.url)
            if certificates is not None:
                tasks.start_soon(_watch_the_date, certificates)
            if number == 0:
                await _announce(server, settings, announced)
                _greet(server, settings)
            ready()
            systemd.notify_ready(f"serving {server.url}")
            try:
                await trio.sleep_forever()
            finally:
                stopping.set()
                systemd.notify_stopping()
                log(logging.INFO, "stopping", clients=server.clients)
    log(logging.INFO, "stopped")


# --- signals ---------------------------------------------------------------------------------


def _stop_signals(certificates: Certificates | None) -> list[signal.Signals]:
    """SIGHUP is for reloading, unless it can only mean that the terminal has gone."""
    signals = [signal.SIGINT, signal.SIGTERM]
    if _HANGUP is not None and certificates is None and sys.stdin.isatty():
        signals.append(_HANGUP)
    return signals


async def _reload_on_hangup(
    hangup: signal.Signals,
    certificates: Certificates | None,
    url: str,
    *,
    task_status: anyio.abc.TaskStatus[None],
) -> None:
    with trio.open_signal_receiver(hangup) as received:
        task_status.started()
        async for _ in received:
            systemd.notify_reloading()
            if certificates is None:
                log(logging.INFO, "nothing_to_reload")
            else:
                _reload(certificates)
            systemd.notify_ready(f"serving {url}")


def _reload(certificates: Certificates) -> None:
    try:
        certificates.reload()
    except CertificateError as error:
        expires = certificates.expires.isoformat()
        log(logging.ERROR, "certificate_kept", fault=str(error), expires=expires)
        return
    log(logging.INFO, "certificate_reloaded", expires=certificates.expires.isoformat())
    _warn_of_the_date(certificates)


async def _watch_the_date(certificates: Certificates) -> None:
    while True:
        _warn_of_the_date(certificates)
        await trio.sleep(_DAY)


def _warn_of_the_date(certificates: Certificates) -> None:
    if (warning := certificates.warning(datetime.now(UTC))) is not None:
        log(logging.WARNING, "certificate", warning=warning)


@contextmanager
def _deadline(timeout: float) -> Iterator[threading.Event]:
    """Ends the process where the block outlasts its deadline once the event is set.

    The server keeps to that by itself; this is for a hook of somebody's that blocks everything, and
    so it is a thread.
    """
    stopping, stopped = threading.Event(), threading.Event()

    def watch() -> None:
        stopping.wait()
        if not stopped.wait(timeout + _SLACK):
            log(logging.ERROR, "stop_cut_short", timeout=timeout)
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield stopping
    finally:
        stopped.set()


# --- what it says -------------------------------------------------------------------------------


def _serve_metrics(
    server: PeerServer, settings: Settings, prepared: Prepared, number: int, stack: ExitStack
) -> None:
    port = settings["metrics_port"]
    if port is None and not settings["metrics"]:
        return
    from peerjs_trio.metrics import ServerMetrics  # prometheus_client is an extra

    certificates, bus = prepared.certificates, prepared.bus
    metrics = ServerMetrics(
        server.statistics,
        bus_healthy=(lambda: bus.healthy) if bus else None,
        certificate_expires=(lambda: certificates.expires) if certificates else None,
    )
    server.hub.observers.append(metrics)
    if port is None:
        server.hub.pages["/metrics"] = metrics.page
        return
    host = settings["metrics_host"]
    # Each worker has its own.
    port = stack.enter_context(metrics.served(host, port + number if port else 0))
    log(logging.INFO, "metrics", host=host, port=port)


async def _announce(server: PeerServer, settings: Settings, stack: AsyncExitStack) -> None:
    if settings["lan"]:
        from peerjs_trio.lan.announce import announce  # zeroconf is an extra

        await stack.enter_async_context(announce(server, name=settings["lan_name"]))


def _greet(server: PeerServer, settings: Settings) -> None:
    """Where it is, for programs or for people, and how a page gets there."""
    if settings["log_format"] == "json":
        log(logging.INFO, "serving", url=server.url)
        return
    key = settings["key"]
    options = {"host": server.host, "port": server.port, "path": server.path, "key": key}
    print(
        f"PeerServer at {server.url}  (Ctrl-C stops it)\n"
        f"  in a page:  new Peer({json.dumps(options)})\n"
        f'  in Python:  open_peer(server="{server.url}"{_key_argument(key)})',
        flush=True,
    )


def _key_argument(key: str) -> str:
    return "" if key == DEFAULT_KEY else f", key={json.dumps(key)}"
