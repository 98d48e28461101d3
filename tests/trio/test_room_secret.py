"""The file rooms' secret is kept in."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from peerjs_proto.errors import LocalProtocolError
from peerjs_trio.room_secret import default_secret_file, room_secret


def test_it_is_made_once_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "some" / "where" / "secret"
    secret = room_secret(path)
    assert len(secret) == 64
    assert room_secret(path) == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["secret"]
    assert room_secret(tmp_path / "another") != secret


def test_many_that_start_at_once_have_one(tmp_path: Path) -> None:
    path, found = tmp_path / "secret", list[bytes]()
    start = threading.Barrier(8)

    def run() -> None:
        start.wait()
        found.append(room_secret(path))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [path.read_bytes().strip()] * 8


@pytest.mark.parametrize("content", ["", "  \n", "fifteen bytes !\n"])
def test_a_file_without_a_secret(tmp_path: Path, content: str) -> None:
    path = tmp_path / "secret"
    path.write_text(content)
    with pytest.raises(LocalProtocolError, match="holds no secret"):
        room_secret(path)
    assert path.read_text() == content


def test_a_place_where_no_file_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        room_secret(tmp_path / "file" / "secret")


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({"STATE_DIRECTORY": "/var/lib/peerjs"}, "/var/lib/peerjs/room-secret"),
        ({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}, "/var/lib/a/room-secret"),
        ({"XDG_STATE_HOME": "/state"}, "/state/peerjs-sansio/room-secret"),
        ({"HOME": "/home/me"}, "/home/me/.local/state/peerjs-sansio/room-secret"),
        (
            {"HOME": "/home/me", "XDG_STATE_HOME": "relative"},  # "must be ignored"
            "/home/me/.local/state/peerjs-sansio/room-secret",
        ),
    ],
)
def test_where_it_is_unless_told(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], place: str
) -> None:
    for name in ("STATE_DIRECTORY", "XDG_STATE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert default_secret_file() == Path(place)


def test_the_default_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    assert room_secret() == (tmp_path / "room-secret").read_bytes().strip()
