"""Real ASGI servers as processes of their own, each with our application in it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal

import attrs

from tests.readme import ROOT

__all__ = ["SERVERS", "Host", "ServerName", "run_host"]

ServerName = Literal["uvicorn", "hypercorn-asyncio", "hypercorn-trio", "granian"]
SERVERS: Final[tuple[ServerName, ...]] = (
    "uvicorn",
    "hypercorn-asyncio",
    "hypercorn-trio",
    "granian",
)

_PATIENCE: Final = 30.0
"Seconds to start or to stop."


@attrs.frozen
class Host:
    """A web server that answers."""

    server: ServerName
    port: int
    path: str
    "Where our application is; begins and ends with a slash."
    process: subprocess.Popen[bytes]
    log: Path
    "All that it says."

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    def stop(self) -> int:
        """Ask it to stop; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_PATIENCE)


@contextmanager
def run_host(
    server: ServerName,
    log: Path,
    app: str = "tests.asgi.apps.peers",
    *,
    path: str = "/",
    options: Mapping[str, Any] = {},
    limits: Mapping[str, Any] = {},
) -> Iterator[Host]:
    """Run a module's ``app`` for the length of the block. What it logs must be no error of ours.

    Args:
        path: Where that has our application.
        options: Of our application, and ``limits`` its ServerLimits.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "PEERSERVER": json.dumps({"options": options, "limits": limits}),
    }
    # granian does not say which port it has. This one is held, without listening, until it does.
    with socket.socket() as held, log.open("wb") as output:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        command = _command(server, f"{app}:app", held.getsockname()[1])
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # granian's workers are processes too
        )
        try:
            yield Host(server, _port(process, log), path, process, log)
        finally:
            try:
                process.terminate()
                process.wait(_PATIENCE)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
    said = log.read_text()
    assert str(ROOT / "peerjs_trio") not in said, said  # a traceback through our code


def _command(server: ServerName, app: str, port: int) -> list[str]:
    match server:
        case "uvicorn":
            return ["uvicorn", app, "--port", "0"]
        case "granian":
            return ["granian", app, "--interface", "asgi", "--port", str(port), "--access-log"]
        case _:
            worker = server.partition("-")[2]
            options = ["--worker-class", worker, "--graceful-timeout", "1"]
            return ["hypercorn", app, *options, "--bind", "127.0.0.1:0", "--access-logfile", "-"]


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    """The one it says that it has, when it listens there."""
    began = time.monotonic()
    while time.monotonic() < began + _PATIENCE and process.poll() is None:
        if found := re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text()):
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", int(found[1]))).close()
                return int(found[1])
        time.sleep(0.02)
    raise AssertionError(f"it does not start: {log.read_text()}")
