"""``peerjs serve --health``: whether the server of these options is well, for container engines."""

from __future__ import annotations

import ssl
import sys
from http.client import HTTPConnection, HTTPException, HTTPSConnection

from .config import Settings

__all__ = ["check_health"]

_TIMEOUT = 3.0
"Seconds for connecting, and for each read. Engines ask every few."


def check_health(settings: Settings) -> int:
    """Ask ``/healthz`` on this machine; the exit status: 0 if the answer is 200, else 1."""
    host: str = settings["host"]
    host = {"::": "::1", "0.0.0.0": "127.0.0.1"}.get(host, host)
    connection: HTTPConnection
    if settings["sslcert"] is None:
        connection = HTTPConnection(host, settings["port"], timeout=_TIMEOUT)
    else:
        # Its certificate is for its name, and here it is asked by its address.
        context = ssl._create_unverified_context()
        connection = HTTPSConnection(host, settings["port"], timeout=_TIMEOUT, context=context)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        print(answer.read().decode(errors="replace").strip())
    except (OSError, HTTPException) as error:
        print(f"peerjs serve: no answer: {error}", file=sys.stderr)
        return 1
    finally:
        connection.close()
    return 0 if answer.status == 200 else 1
