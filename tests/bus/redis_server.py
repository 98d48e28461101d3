"""A redis-server of the test's own, with nothing on disk."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.interop.programs import find_program

__all__ = ["RedisServer", "free_port", "redis_server"]

INSTALL = "Debian has it in the package redis-server"


class RedisServer:
    """On a Unix socket, or on a port of 127.0.0.1 where one is given."""

    def __init__(self, folder: Path, *options: str, port: int = 0) -> None:
        self.socket = folder / "redis.sock"
        self.port = port
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0" if self.port else f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        """Of its process, while it runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Until it takes connections."""
        program = find_program("redis-server", install=INSTALL)
        self.socket.unlink(missing_ok=True)
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(program, *self._options, "--dir", str(self._folder)),
                    *("--bind", "127.0.0.1", "--port", str(self.port)),
                    *("--unixsocket", str(self.socket)),
                ],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 10
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "redis.log").read_text()
            assert time.monotonic() < deadline, "redis-server does not start"
            time.sleep(0.01)

    def kill(self) -> None:
        """As when its machine goes."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def ask(self, *command: str) -> str:
        """What redis-cli prints."""
        program = find_program("redis-cli", install="Debian has it in the package redis-tools")
        completed = subprocess.run(
            [program, "-s", str(self.socket), *command],
            check=True,
            capture_output=True,
            text=True,
            timeout=20,
        )
        return completed.stdout

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            try:
                client.connect(str(self.socket))
                client.sendall(b"PING\r\n")
                return client.recv(100).startswith((b"+PONG", b"-NOAUTH"))
            except OSError:
                return False


NOTHING_KEPT = ("--save", "", "--appendonly", "no")


@contextmanager
def redis_server(folder: Path, *options: str, port: int = 0) -> Iterator[RedisServer]:
    """One that runs for the length of the block."""
    folder.mkdir(exist_ok=True)
    server = RedisServer(folder, *(options or NOTHING_KEPT), port=port)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def free_port() -> int:
    """Of 127.0.0.1; a Cluster needs the one 10,000 above it as well."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 10_000))
            except (OSError, OverflowError):
                continue
            return port
