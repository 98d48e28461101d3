"""What every command that is a peer is told, and what is made of it."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from peerjs_proto.errors import InvalidId
from peerjs_trio.cli.peer_options import (
    SECRET_VARIABLE,
    OptionError,
    add_peer_options,
    ice_servers_from,
    open_peer_from,
    pairings_from,
    secret_from,
)
from peerjs_trio.rtc.engine import IceServer
from peerjs_trio.server import open_server

NOBODY = "http://127.0.0.1:9/"


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_peer_options(parser)
    return parser.parse_args(arguments)


@pytest.mark.trio
async def test_it_is_that_peer_on_that_server() -> None:
    async with open_server(key="ours") as server:
        args = parse("--server", server.url, "--key", "ours", "--id", "alice")
        async with open_peer_from(args) as peer:
            assert peer.id == "alice"


@pytest.mark.trio
async def test_a_command_may_know_better() -> None:
    async with open_server() as server:
        args = parse("--server", NOBODY, "--id", "alice")
        async with open_peer_from(args, id="bob", server=server.url) as peer:
            assert peer.id == "bob"


@pytest.mark.trio
async def test_of_several_servers_the_next_is_tried() -> None:
    async with (
        open_server() as server,
        open_peer_from(parse("--server", NOBODY, "--server", server.url)) as peer,
    ):
        assert peer.is_open


@pytest.mark.trio
async def test_a_server_that_is_none_is_told() -> None:
    with pytest.raises(InvalidId, match="is not a PeerServer URL"):
        async with open_peer_from(parse("--server", "gopher://a/")):
            pass


def test_ice_servers_are_the_defaults_of_open_peer_or_those_that_were_given() -> None:
    assert ice_servers_from(parse()) is None
    given = parse("--ice", "stun:a:1", "--ice", "turn:b:2", "--username", "u", "--credential", "c")
    assert ice_servers_from(given) == [IceServer(["stun:a:1", "turn:b:2"], "u", "c")]
    timed = ice_servers_from(parse("--ice", "turn:b:2", "--ice-secret", "s", "--username", "u"))
    assert timed is not None
    assert (timed[0].username or "").endswith(":u")


def test_the_secret_is_in_a_file_or_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)
    assert secret_from(parse()) is None
    monkeypatch.setenv(SECRET_VARIABLE, " of the environment\n")
    assert secret_from(parse()) == "of the environment"
    file = tmp_path / "secret"
    file.write_text("of the file\n")
    assert secret_from(parse("--secret-file", str(file))) == "of the file"


@pytest.mark.parametrize("content", [None, b" \n", b"\xff"])
def test_a_file_without_a_secret_is_told(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(OptionError, match=r"^--secret-file: "):
        secret_from(parse("--secret-file", str(file)))


def test_pairings_are_a_file() -> None:
    assert pairings_from(parse()) is None
    assert pairings_from(parse("--pairings", "known.json")) == Path("known.json")
