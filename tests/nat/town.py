"""What runs on the hosts: a PeerServer and a coturn in the middle, a peer at each end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from tests.interop.background import open_background
from tests.interop.programs import find_program
from tests.nat.end import Terms
from tests.nat.namespaces import Host
from tests.readme import ROOT

__all__ = ["SECRET", "TURN_PORT", "Outcome", "first_line", "meet", "serve", "start"]

SECRET: Final = "north of the wall"
TURN_PORT: Final = 3478

_PATIENCE: Final = 90.0
"Seconds for anything."

# coturn says nothing that could be waited for, so it is asked.
_IS_UP: Final = """
import socket, sys
from aioice.stun import Class, Message, Method
host, port = sys.argv[1:]
with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.settimeout(0.1)
    sock.connect((host, int(port)))
    for _ in range(300):
        try:
            sock.send(bytes(Message(Method.BINDING, Class.REQUEST)))
            sys.exit(not sock.recv(2048))
        except (ConnectionRefusedError, TimeoutError):
            pass
sys.exit("no answer")
"""


@asynccontextmanager
async def serve(host: Host, address: str, directory: Path) -> AsyncIterator[str]:
    """A PeerServer, whose URL this is, and a coturn with ``SECRET``, at one address of a host."""
    program = find_program("turnserver", install="Debian: apt install coturn")
    coturn = [
        *(program, "-n", "--no-cli", "--no-dtls", "--no-tls", "--realm=example.org"),
        # Unless told, it relays by IPv4 whoever asks, and refuses where it has no such address.
        "--allocation-default-address-family=keep",
        *("--use-auth-secret", f"--static-auth-secret={SECRET}", "--log-file=stdout"),
        *(f"--listening-ip={address}", f"--relay-ip={address}", f"--listening-port={TURN_PORT}"),
        *(f"--pidfile={directory / 'pid'}", f"--userdb={directory / 'db'}"),
    ]
    peerjs = [sys.executable, "-m", "peerjs_trio", "serve", "--host", address, "--port", "9000"]
    async with open_background() as tasks:
        await start(tasks, host, coturn, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        server = await start(tasks, host, peerjs, stdout=subprocess.PIPE)
        greeting = await first_line(server)
        await trio.to_thread.run_sync(
            host.run, sys.executable, "-c", _IS_UP, address, str(TURN_PORT)
        )
        yield greeting.split()[2]


@attrs.frozen
class Outcome:
    """What came of a dial."""

    news: dict[str, Any]
    log: str
    "Of the one who dialled."


async def meet(alice: Host, his: Terms, bob: Host, hers: Terms) -> Outcome:
    """Alice, who has ``dial`` in her terms, calls Bob."""
    with trio.fail_after(_PATIENCE):
        async with open_background() as tasks, AsyncExitStack() as stack:
            answering = await start(tasks, bob, _end(hers), stdin=subprocess.PIPE)
            assert answering.stdin is not None
            await stack.enter_async_context(answering.stdin)
            assert json.loads(await first_line(answering)) == {"registered": hers.id}
            command = alice.command(*_end(his))
            done = await trio.run_process(
                command, capture_stdout=True, capture_stderr=True, check=False, cwd=ROOT
            )
    log = done.stderr.decode()
    assert done.returncode == 0, log
    return Outcome(json.loads(done.stdout.splitlines()[-1]), log)


def _end(terms: Terms) -> list[str]:
    return [sys.executable, "-m", "tests.nat.end", json.dumps(attrs.asdict(terms))]


async def start(
    tasks: trio.Nursery,
    host: Host,
    command: Sequence[str],
    *,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
    stderr: int | None = None,
) -> trio.Process:
    """On a host, for as long as the nursery."""
    run = partial(
        trio.run_process,
        host.command(*command),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        check=False,
        cwd=ROOT,
    )
    process: trio.Process = await tasks.start(run)
    return process


async def first_line(process: trio.Process) -> str:
    """What it says when it is ready; the rest is nothing to wait for."""
    assert process.stdout is not None
    text = ""
    while "\n" not in text:
        data = await process.stdout.receive_some()
        assert data, "it has ended"
        text += data.decode()
    return text.partition("\n")[0]
