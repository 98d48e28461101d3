"""The servers in examples/, each as a process of its own, with real clients."""

from __future__ import annotations

import json
import signal
import sys
import urllib.request
from functools import partial
from pathlib import Path
from subprocess import DEVNULL, PIPE

import attrs
import pytest
import trio

from peerjs_trio import IdTaken, ServerError, open_peer
from tests.asgi.hosts import run_host
from tests.examples import PATIENCE, Program
from tests.interop.servers import open_client, request
from tests.readme import ROOT, blocks

pytestmark = pytest.mark.trio


async def meet(url: str) -> None:
    """Two peers and a message."""
    with trio.fail_after(PATIENCE):
        async with open_peer(server=url) as alice, open_peer("bob", server=url) as bob:
            conn = await bob.connect(alice.id)
            await conn.send("hello")
            answer = await anext(alice.incoming_connections())
            assert await answer.receive() == "hello"
            with pytest.raises(IdTaken):
                async with open_peer("bob", server=url):
                    pass


def ask(url: str, method: str = "GET") -> dict[str, object]:
    asked = urllib.request.Request(url, method=method)
    with urllib.request.urlopen(asked, timeout=PATIENCE) as reply:
        told: dict[str, object] = json.load(reply)
        return told


async def test_starlette(tmp_path: Path) -> None:
    with run_host("uvicorn", tmp_path / "log", "examples.asgi_starlette", path="/peers/") as host:
        api = f"http://127.0.0.1:{host.port}/api/members"
        token = str((await trio.to_thread.run_sync(ask, f"{api}/alice", "POST"))["token"])
        again = await request(attrs.evolve(host, path="/api/members/"), "alice", "POST")
        assert again.status == 409
        assert await trio.to_thread.run_sync(ask, api) == {"alice": False}
        async with open_peer("alice", server=host.url, token=token):
            assert await trio.to_thread.run_sync(ask, api) == {"alice": True}
            with pytest.raises(ServerError, match="Unauthorized"):
                async with open_peer("mallory", server=host.url):
                    pass


async def test_asyncio() -> None:
    start = partial(
        trio.run_process,
        [sys.executable, "-W", "error", "examples/server_asyncio.py", "--port", "0"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        check=False,
    )
    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(start)
        program = Program(process)
        server = _Server(await program.says(r"PeerServer at (http:\S+)\n"))
        await meet(server.url)
        page = {"Origin": "http://page.example"}
        reply = await request(server, "peerjs/id", headers=page)
        assert (reply.status, len(reply.body)) == (200, 36)
        assert reply.headers["access-control-allow-origin"] == "http://page.example"
        assert (await request(server, "nothing")).status == 404
        async with open_client(server, "alice") as alice, open_client(server, "alice") as heir:
            assert (await alice.receive())["type"] == "OPEN"
            assert (await alice.receive())["type"] == "ID-TAKEN"
            assert await alice.close_code() == 1000
            assert (await heir.receive())["type"] == "OPEN"
            await heir.send({"type": "OFFER", "dst": "nobody"})
            assert (await heir.receive())["type"] == "EXPIRE"
            process.send_signal(signal.SIGINT)
            assert await heir.close_code() == 1001
        assert await program.ends() == (0, "")


async def test_the_code_in_the_page_prints_what_stands_below_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    namespace: dict[str, object] = {}
    for block in blocks("python", ROOT / "docs" / "asgi.md"):
        exec(block.code, namespace)
        assert capsys.readouterr().out == (block.output or "")


@attrs.frozen
class _Server:
    url: str
