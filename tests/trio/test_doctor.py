"""``peerjs doctor``, as a process of its own, against servers well and ill."""

from __future__ import annotations

import json
import re
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any

import attrs
import pytest
import trio

from peerjs_trio.server import open_server
from tests.readme import ROOT
from tests.trio.ice import PASSWORD, USER, Coturn, closed_port, udp_server

NOWHERE = "http://127.0.0.1:9/"


@attrs.frozen
class Result:
    status: int
    out: str
    err: str

    @property
    def findings(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.out)["findings"]
        return found

    def one(self, check: str) -> dict[str, Any]:
        (found,) = (finding for finding in self.findings if finding["check"] == check)
        return found

    @property
    def wrong(self) -> list[str]:
        return [f["check"] for f in self.findings if f["verdict"] == "wrong"]


async def doctor(*arguments: str) -> Result:
    command = [sys.executable, "-W", "error", "-m", "peerjs_trio", "doctor", *arguments]
    with trio.fail_after(60):
        done = await trio.run_process(
            command, capture_stdout=True, capture_stderr=True, check=False, cwd=ROOT
        )
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


async def examine(server: str, *arguments: str) -> Result:
    return await doctor("--json", "--server", server, *arguments)


@asynccontextmanager
async def saying(reply: bytes | None) -> AsyncIterator[str]:
    """The URL of a TCP server that answers anything with this, and with None nothing."""

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            if reply is None:
                await trio.sleep_forever()
            else:
                await stream.send_all(reply)

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}/"
        nursery.cancel_scope.cancel()


def http(body: str, **headers: str) -> bytes:
    headers["Content-Length"] = str(len(body))
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    return f"HTTP/1.1 200 OK\r\n{''.join(lines)}Connection: close\r\n\r\n{body}".encode()


# --- the server ----------------------------------------------------------------------------------


@pytest.mark.trio
async def test_all_is_well() -> None:
    async with open_server(path="/app", key="my key") as server:
        told = await doctor("--server", server.url, "--key", "my key")
        result = await examine(server.url, "--key", "my key")
    assert (told.status, told.err) == (0, "")
    lines = told.out.splitlines()
    assert lines[-1] == "All is well."
    for check in ("versions", "interfaces", "http", "id", "clock", "websocket"):
        assert any(re.match(rf"    ok  {check} ", line) for line in lines), told.out
    assert result.status == 0
    assert json.loads(result.out)["well"] is True
    assert not result.wrong
    order = [finding["check"] for finding in result.findings]
    assert order[-6:] == ["http", "id", "clock", "websocket", "ice", "udp"]
    assert result.one("websocket")["facts"]["relay_seconds"] > 0
    assert abs(result.one("clock")["facts"]["seconds"]) < 30


@pytest.mark.trio
async def test_a_wrong_key() -> None:
    async with open_server(key="secret") as server:
        result = await examine(server.url)
    assert (result.status, result.wrong) == (1, ["websocket"])
    assert result.one("websocket")["text"] == "the server refuses us: Invalid key provided"
    assert "--key" in result.one("websocket")["advice"]


@pytest.mark.trio
async def test_a_wrong_path() -> None:
    async with open_server(path="/app") as server:
        result = await examine(server.url.removesuffix("app/"))
    assert (result.status, result.wrong) == (1, ["http", "id", "websocket"])
    assert "status 404" in result.one("http")["text"]
    assert "path" in result.one("http")["advice"]


@pytest.mark.trio
async def test_a_port_where_nobody_listens() -> None:
    told = await doctor("--server", f"http://127.0.0.1:{closed_port(socket.SOCK_STREAM)}")
    assert told.status == 1
    refuses = r"^ WRONG  http .* refuses: nobody listens at that port\n {19}Start the server"
    assert re.search(refuses, told.out, re.M)
    assert told.out.endswith("\nSomething is wrong: http.\n")


@pytest.mark.trio
async def test_a_server_that_says_nothing() -> None:
    async with saying(None) as url:
        result = await examine(url, "--timeout", "0.3")
    assert (result.status, result.wrong) == (1, ["http"])
    assert "does not answer within 0.3 s" in result.one("http")["text"]


@pytest.mark.trio
async def test_a_plain_web_server() -> None:
    async with saying(http("<html>")) as url:
        result = await examine(url)
    assert (result.status, result.wrong) == (1, ["http", "id", "websocket"])
    assert "not as a PeerServer does" in result.one("http")["text"]
    assert result.one("clock")["verdict"] == "note"


@pytest.mark.trio
async def test_what_is_no_web_server_at_all() -> None:
    async with saying(b"SSH-2.0-OpenSSH_9.2p1\r\n") as url:
        plain = await examine(url)
        secure = await examine(url.replace("http", "https"))
    assert "does not speak HTTP" in plain.one("http")["text"]
    assert "does not speak TLS" in secure.one("http")["text"]


@pytest.mark.trio
async def test_a_certificate_that_is_not_trusted(coturn: Coturn) -> None:
    turn = asking(f"turns:127.0.0.1:{coturn.tls_port}")
    result = await examine(f"https://127.0.0.1:{coturn.tls_port}", *turn)
    assert result.wrong == ["http", "turn"]
    for check in ("http", "turn"):
        assert "has a certificate that is not trusted: self-signed" in result.one(check)["text"]


@pytest.mark.trio
async def test_a_name_that_nobody_has() -> None:
    result = await examine("http://nobody.invalid/", "--ice", "stun:nobody.invalid")
    assert (result.status, result.wrong) == (1, ["dns", "stun"])
    assert "nobody.invalid has no address" in result.one("dns")["text"]
    assert "cannot be reached" in result.one("stun")["text"]


@pytest.mark.trio
@pytest.mark.parametrize(("offset", "words"), [(-600, "ahead of"), (600, "behind")])
async def test_a_clock_that_is_wrong(offset: float, words: str) -> None:
    date = formatdate(time.time() + offset, usegmt=True)
    async with saying(http('{"name": "PeerJS Server"}', Date=date)) as url:
        result = await examine(url)
    assert "clock" in result.wrong
    assert re.fullmatch(rf"(59\d|60\d) s {words} the server's", result.one("clock")["text"])


# --- STUN and TURN -------------------------------------------------------------------------------


def asking(*urls: str, username: str = USER, credential: str = PASSWORD) -> list[str]:
    ice = [argument for url in urls for argument in ("--ice", url)]
    return [*ice, "--username", username, "--credential", credential]


@pytest.mark.trio
async def test_coturn_serves(coturn: Coturn) -> None:
    turn = f"turn:127.0.0.1:{coturn.port}"
    urls = f"stun:127.0.0.1:{coturn.port}", turn, f"{turn}?transport=tcp"
    async with open_server() as server:
        result = await examine(server.url, *asking(*urls))
    assert result.status == 0, result.out
    found = [f for f in result.findings if f["check"] in ("stun", "turn")]
    assert [f["facts"]["url"] for f in found] == list(urls)
    for finding in found:
        assert finding["facts"]["mapped"].startswith("127.0.0.1:")
        assert (finding["facts"]["relayed"] is None) == (finding["check"] == "stun")
    assert result.one("udp")["facts"] == {"asked": 2, "answered": 2}


@pytest.mark.trio
@pytest.mark.parametrize(
    ("username", "words"),
    [
        (USER, "refuses the credentials"),
        ("1700000000:user", "refuses the credentials: they have expired"),
    ],
)
async def test_wrong_credentials_are_no_silence(coturn: Coturn, username: str, words: str) -> None:
    url = f"turn:127.0.0.1:{coturn.port}"
    async with open_server() as server:
        result = await examine(server.url, *asking(url, username=username, credential="hunter3"))
    assert (result.status, result.wrong) == (1, ["turn"])
    assert result.one("turn")["text"] == f"{url} {words}"
    assert result.one("udp")["verdict"] == "ok"
    assert "hunter3" not in result.out


@pytest.mark.trio
async def test_without_credentials(coturn: Coturn) -> None:
    result = await examine(NOWHERE, "--ice", f"turn:127.0.0.1:{coturn.port}")
    assert "wants credentials, and none were given" in result.one("turn")["text"]


@pytest.mark.trio
async def test_servers_that_are_dead() -> None:
    async with udp_server() as dead:
        stun, turn = f"stun:127.0.0.1:{dead.port}", f"turn:127.0.0.1:{closed_port()}"
        result = await examine(NOWHERE, "--timeout", "0.3", *asking(stun, turn))
    assert result.wrong == ["http", "stun", "turn", "udp"]
    assert result.one("stun")["text"] == f"{stun} does not answer within 0.3 s"
    assert "refused" in result.one("turn")["text"]
    assert result.one("udp")["facts"] == {"asked": 1, "answered": 0}


@pytest.mark.trio
async def test_what_nobody_asks() -> None:
    result = await examine(NOWHERE, "--ice", "stuns:127.0.0.1")
    assert result.wrong == ["http"]
    assert "of a kind that aiortc cannot use" in result.one("ice")["text"]


# --- arguments -----------------------------------------------------------------------------------


@pytest.mark.trio
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--server", "nonsense"], "is not a PeerServer URL"),
        (["--ice", "nonsense"], "malformed uri"),
        (["--timeout", "0"], "0 is no number of seconds"),
        (["--timeout", "nan"], "nan is no number of seconds"),
    ],
)
async def test_arguments_that_are_none(arguments: list[str], complaint: str) -> None:
    told = await doctor(*arguments)
    assert (told.status, told.out) == (2, "")
    assert complaint in told.err
