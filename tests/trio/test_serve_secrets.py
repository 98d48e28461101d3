"""Tokens are never in what ``peerjs serve`` writes, whatever happens to whoever has them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from tests.trio.server_clients import frame, handshake, open_client, open_raw, open_tcp
from tests.trio.serving import Serving, serving

TOKEN = "S3cr3t-t0ken"
PAYLOAD = "v=0-the-payload"


async def say(running: Serving, data: bytes) -> None:
    """Send something, and wait until the server has answered it or closed."""
    async with open_tcp(running) as stream:
        await stream.send_all(data)
        with trio.fail_after(10):
            with suppress(trio.BrokenResourceError):
                await stream.receive_some()


def request(target: str, method: str = "GET", more: str = "") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode()


@pytest.mark.trio
async def test_no_token_is_written(tmp_path: Path) -> None:
    config = tmp_path / "peerjs.toml"
    secret = tmp_path / "room-secret"
    config.write_text(
        f'log_level = "debug"\nrooms = true\nroom_secret_file = "{secret}"\n'
        f'[reserved]\nowned = "{TOKEN}"\n'
    )
    hooks = tmp_path / "hooks.py"
    hooks.write_text(
        "async def authorize(id, token, key, headers):\n"
        "    if id == 'failing':\n"
        "        raise RuntimeError('the database is gone')\n"
        "    return id != 'unwanted'\n"
    )
    arguments = ("--config", str(config), "--authorize", "hooks:authorize", "-t", "50")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PEERSERVER_MESSAGE_BYTES": "5000"}
    async with serving(*arguments, environment=environment) as running:
        async with open_raw(running, "alice", token=TOKEN) as alice:
            # Registered, taken over, and refused another's id.
            async with open_client(running, "alice", TOKEN) as again:
                await again.receive()
                await again.send("OFFER", "nobody", {"sdp": PAYLOAD})
                assert (await again.receive())["type"] == "EXPIRE"
                await say(running, handshake("alice", TOKEN + "x"))
            assert (await alice.receive())["type"] == "ID-TAKEN"
        for id in ("owned", "failing", "unwanted", "not an id!"):
            await say(running, handshake(id, TOKEN * 2))
        await say(running, handshake("long", TOKEN * 200))
        # Bad messages, and what is no message.
        async with open_raw(running, "bob", token=TOKEN) as bob:
            for text in (TOKEN, f'{{"type": "{TOKEN}"}}', f'{{"type": "OFFER", "x": "{PAYLOAD}"}}'):
                await bob.send(frame(1, text.encode()))
            await bob.send(frame(1, PAYLOAD.encode() * 1000))
            while await bob.receive_frame() is not None:
                pass
        await say(running, request(f"/peerjs?key=wrong&id=a&token={TOKEN}"))
        await say(running, handshake("carol", TOKEN).replace(b"key=peerjs", b"key=other"))
        await say(running, handshake("carol", TOKEN).replace(b"HTTP/1.1", b"HTTP/9.9"))
        await say(running, request(f"/peerjs/alice/{TOKEN}/room/id"))
        await say(running, request(f"/peerjs/alice/{TOKEN}/room/x/join", "POST"))
        await say(running, request(f"/{TOKEN}", "DELETE"))
        await say(running, request("/", more=f"Authorization: Bearer {TOKEN}\r\nbad header\r\n"))
        await say(running, f"{TOKEN}\r\n\r\n".encode())
        await say(running, request("/" + TOKEN * 3000))
        running.process.terminate()
        assert await running.ended() == 0
    written = (running.output + running.errors).decode()
    assert "refused" in written
    assert "message_refused" in written
    assert "the database is gone" in written
    assert TOKEN not in written
    assert PAYLOAD not in written
    assert secret.read_text().strip() not in written
