"""Several processes that serve one port: they are forked, watched, and started again.

Each has a listening socket of its own on that port, between which the system shares connections
out (SO_REUSEPORT). The supervisor keeps all of them open, so that those who connect to one that
has died wait for the next. It is single-threaded and runs no event loop: then a fork is safe.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Final

import attrs

from peerjs_proto.backoff import Backoff
from peerjs_trio.observe import log
from peerjs_trio.wire import bind

__all__ = ["Work", "share_port", "supervise"]

Work = Callable[[int, socket.socket, Callable[[], None]], int]
"""What a worker does, given its number, from 0 on, its socket, and what to call once it serves;
returns its exit status."""


def share_port(host: str, port: int, count: int) -> list[socket.socket]:
    """As many listeners on one port; 0 is one that is free.

    Raises:
        OSError: in use by somebody else, not ours, or this system cannot do it.
    """
    if not hasattr(socket, "SO_REUSEPORT") or not hasattr(os, "fork"):
        raise OSError("several workers need a system that can fork and share a port")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise OSError(error.errno, f"{error.strerror}: {host!r}") from None
    # Whoever else has the port shall keep it: the first one is not shared until it has it.
    listeners = [bind(found[0][0], found[0][4])]
    family, address = listeners[0].family, listeners[0].getsockname()
    listeners[0].close()
    return [bind(family, address, reuse_port=True) for _ in range(count)]


def supervise(
    work: Work,
    listeners: Sequence[socket.socket],
    *,
    stop_signals: Collection[signal.Signals],
    stop_timeout: float,
) -> int:
    """Run a worker on each of these sockets, until a signal; the exit status.

    A worker that ends is followed by another, after a wait that grows while they are short-lived.
    Where one of the first does not even come up, none follow, and the status is 1.

    Args:
        stop_signals: Those that end it. Workers get SIGTERM, and any other signal as it is.
        stop_timeout: Seconds for them to end by themselves.
    """
    with _Signals({*stop_signals, signal.SIGHUP, signal.SIGCHLD}) as signals:
        supervisor = _Supervisor(work, listeners, signals)
        try:
            return supervisor.run(stop_signals, stop_timeout)
        finally:
            supervisor.kill()


@attrs.define(eq=False)
class _Worker:
    number: int
    listener: socket.socket
    pid: int = 0
    "0 while there is none."
    started: float = 0.0
    failures: int = 0
    "How often it has been short-lived, one behind the other."
    start_at: float | None = None
    "When there is to be one again."
    has_come_up: bool = False
    "Whether one has ever served."


class _Supervisor:
    def __init__(self, work: Work, listeners: Sequence[socket.socket], signals: _Signals) -> None:
        self._work = work
        self._signals = signals
        self._workers = [_Worker(number, sock) for number, sock in enumerate(listeners)]
        self._ready, self._say_ready = os.pipe()
        os.set_blocking(self._ready, False)
        # Its end is how workers hear of ours, even of a SIGKILL.
        self._lifeline, self._held = os.pipe()

    def run(self, stop_signals: Collection[signal.Signals], stop_timeout: float) -> int:
        for worker in self._workers:
            self._start(worker)
        status = None
        while status is None:
            for number in self._signals.wait(self._next_start()):
                if number in stop_signals:
                    status = 0
                elif number is not signal.SIGCHLD:
                    self._send(number)
            if not all(self._outlive(worker) for worker in self._workers):
                status = 1  # one of them has said why
            for worker in self._workers:
                if worker.start_at is not None and worker.start_at <= time.monotonic():
                    self._start(worker)
        self._stop(stop_timeout)
        return status

    def kill(self) -> None:
        """Whoever is left."""
        self._send(signal.SIGKILL)
        for pipe in (self._lifeline, self._held, self._ready, self._say_ready):
            os.close(pipe)

    def _start(self, worker: _Worker) -> None:
        with self._signals.blocked():
            pid = os.fork()
            if pid == 0:
                self._signals.forget()
                signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it knows what to do then
        if pid == 0:
            status = 1
            try:
                os.setpgid(0, 0)  # Ctrl-C is for the supervisor, which tells each of us once
                os.close(self._held)
                threading.Thread(target=_follow, args=(self._lifeline,), daemon=True).start()
                status = self._work(worker.number, worker.listener, partial(self._say, worker))
            except KeyboardInterrupt:
                pass
            except BaseException:
                logging.getLogger("peerjs.server").exception("a worker failed")
            finally:
                logging.shutdown()
                os._exit(status)
        worker.pid, worker.started, worker.start_at = pid, time.monotonic(), None

    def _say(self, worker: _Worker) -> None:
        """It has come up."""
        os.write(self._say_ready, bytes([worker.number]))

    def _outlive(self, worker: _Worker) -> bool:
        """Look after one that may have ended; False where that is no use."""
        if not _has_ended(worker):
            return True
        with suppress(BlockingIOError):
            for number in os.read(self._ready, _MOST_WORKERS):
                self._workers[number].has_come_up = True
        if not worker.has_come_up:
            return False
        now = time.monotonic()
        if now - worker.started >= _STEADY:
            worker.failures = 0
        delay = _BACKOFF.delay(worker.failures - 1, 0.0) if worker.failures else 0.0
        worker.failures += 1
        worker.start_at = now + delay
        log(logging.ERROR, "worker_ended", worker=worker.number, again_in=delay)
        return True

    def _next_start(self) -> float | None:
        """Seconds until there is one to start; None for none."""
        waiting = [worker.start_at for worker in self._workers if worker.start_at is not None]
        return max(0.0, min(waiting) - time.monotonic()) if waiting else None

    def _stop(self, timeout: float) -> None:
        self._send(signal.SIGTERM)
        deadline = time.monotonic() + timeout + _SLACK
        while any(worker.pid for worker in self._workers) and time.monotonic() < deadline:
            self._signals.wait(deadline - time.monotonic())
            for worker in self._workers:
                _has_ended(worker)

    def _send(self, number: signal.Signals) -> None:
        for worker in self._workers:
            if worker.pid:
                os.kill(worker.pid, number)


class _Signals:
    """Signals, as something to wait for."""

    def __init__(self, numbers: Collection[signal.Signals]) -> None:
        self._numbers = numbers
        self._reader, self._writer = socket.socketpair()
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> _Signals:
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno())
        for number in self._numbers:
            self._before[number] = signal.signal(number, _notice)
        return self

    def __exit__(self, *_: object) -> None:
        self.forget()

    def forget(self) -> None:
        """As it was before."""
        signal.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._reader.close()
        self._writer.close()

    @contextmanager
    def blocked(self) -> Iterator[None]:
        """They come behind the block."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, self._numbers)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def wait(self, timeout: float | None) -> list[signal.Signals]:
        """Those that came; none if it was in vain."""
        select.select([self._reader], [], [], timeout)
        try:
            return [signal.Signals(number) for number in self._reader.recv(100)]
        except BlockingIOError:
            return []


def _has_ended(worker: _Worker) -> bool:
    if not worker.pid or not os.waitpid(worker.pid, os.WNOHANG)[0]:
        return False
    worker.pid = 0
    return True


def _notice(number: int, frame: FrameType | None) -> None:
    """The wake-up descriptor has it already."""


def _follow(lifeline: int) -> None:
    """End when the supervisor does."""
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)


_MOST_WORKERS: Final = 255
"""As many as a byte can name, which is what peerjs_trio/cli/options.py allows."""

_STEADY: Final = 5.0
"""Seconds of life after which a worker that ends is followed at once."""

_SLACK: Final = 3.0
"""Seconds beyond ``stop_timeout``, so that a worker that cuts itself short says so itself."""

_BACKOFF: Final = Backoff(first=0.5, longest=30.0)
