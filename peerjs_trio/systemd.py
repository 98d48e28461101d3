"""What systemd does for a service and wants to know of it: sd_listen_fds(3), sd_notify(3).

Variables, and a datagram each; the libraries for them are older than Python 3.11, or need a
compiler.
"""

from __future__ import annotations

import os
import socket
import time
from typing import Final

__all__ = ["listener", "notify_ready", "notify_reloading", "notify_stopping"]


_FIRST: Final = 3
"Behind standard input, output and error."


def listener() -> socket.socket | None:
    """The socket that systemd has opened for us (``peerjs.socket``); None if there is none.

    Raises:
        OSError: it is no socket that listens for TCP, or not the only one.
    """
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()):  # they are somebody else's, whose child we are
        return None
    if count != "1":
        raise OSError(f"systemd has passed {count} sockets: one is what there is to listen on")
    sock = socket.socket(fileno=_FIRST)
    os.set_inheritable(_FIRST, False)
    if sock.type != socket.SOCK_STREAM or not sock.getsockopt(
        socket.SOL_SOCKET, socket.SO_ACCEPTCONN
    ):
        raise OSError("what systemd has passed does not listen: ListenStream= does")
    sock.setblocking(False)
    return sock


def notify_ready(status: str) -> None:
    """It serves now, or again. ``status`` is what ``systemctl status`` shows."""
    _notify("READY=1", f"STATUS={status}")


def notify_reloading() -> None:
    """It has begun to reload; :func:`notify_ready` says that it is done."""
    # The time tells systemd which of the answers belongs to its question (Type=notify-reload).
    _notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def notify_stopping() -> None:
    """It is about to end."""
    _notify("STOPPING=1")


def _notify(*lines: str) -> None:
    """Tell it, if systemd has started us and asks for it; without effect else."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # abstract: a zero byte stands for the @
        address = f"\0{address[1:]}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto("\n".join(lines).encode(), address)
