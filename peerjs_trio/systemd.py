"""What systemd wants to know of a service: sd_notify(3), over the socket that it names.

A datagram each; the libraries for it are either older than Python 3.11, or need a compiler.
"""

from __future__ import annotations

import os
import socket
import time

__all__ = ["notify_ready", "notify_reloading", "notify_stopping"]


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
