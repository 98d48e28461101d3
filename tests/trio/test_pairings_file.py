"""The file of pairs: for its owner alone, whole at any moment, and right between processes."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from peerjs_proto.pair_keys import DAY, EPOCH, following
from peerjs_trio import LocalProtocolError, Unauthorized
from peerjs_trio.pairing import Pairings, default_pairings_file

pytest.importorskip("spake2", reason="pairing needs the extra pairing")

from peerjs_proto.pairing import NewPair

ROOT = Path(__file__).parents[2]


class Clock:
    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


def new(number: int = 1, name: str = "phone", id_secret: bytes | None = None) -> NewPair:
    return NewPair(f"{number:032x}", number.to_bytes(32, "big"), name, id_secret)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "peerjs" / "pairings.json"


def test_it_is_made_for_its_owner_alone(path: Path) -> None:
    pairings = Pairings.open(path, name="kitchen")
    pairings.add(new())
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700
    assert sorted(os.listdir(path.parent)) == ["pairings.json", "pairings.json.lock"]
    assert "0000" not in repr(pairings) + repr(pairings.pairs[0].keys)


def test_it_is_the_same_after_a_restart(path: Path) -> None:
    first = Pairings.open(path, name="kitchen")
    pair = first.add(new(id_secret=b"i" * 32))
    again = Pairings.open(path)
    assert (again.name, again.tag, again.own_id(), again.own_token(), again.pairs) == (
        *(first.name, first.tag, first.own_id(), first.own_token()),
        (pair,),
    )
    assert again.find("phone") == again.find(pair.id) == pair
    assert pair.is_device
    assert pair.tag.isalpha()
    assert len(set(pair.remote_ids(0.0))) == 3
    assert Pairings.open(path, name="hall").name == again.name == "hall"


def test_another_device_is_somebody_else(path: Path, tmp_path: Path) -> None:
    one, other = Pairings.open(path), Pairings.open(tmp_path / "other.json")
    assert one.own_id() != other.own_id()
    assert one.own_token() != other.own_token()
    assert one.name


@pytest.mark.skipif(os.name == "nt", reason="access is not in the mode on Windows")
@pytest.mark.parametrize("lax", [0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused_as_ssh_does(path: Path, lax: int) -> None:
    pairings = Pairings.open(path)
    path.chmod(lax)
    for use in (lambda: pairings.pairs, lambda: pairings.add(new()), lambda: Pairings.open(path)):
        with pytest.raises(LocalProtocolError, match=r"too open.*chmod 0600"):
            use()
    path.chmod(0o600)
    path.parent.chmod(0o770)
    with pytest.raises(LocalProtocolError, match=r"too open.*chmod 0700"):
        Pairings.open(path)
    path.parent.chmod(0o755)  # others may look which files are there
    assert Pairings.open(path)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_somebody_else_is_refused(path: Path) -> None:
    Pairings.open(path)
    os.chown(path, 12345, -1)
    with pytest.raises(LocalProtocolError, match="another user"):
        Pairings.open(path)


def damages() -> dict[str, Any]:
    def keys(**members: Any) -> Any:
        return lambda said: said["pairs"][0]["keys"].update(members)

    return {
        "version": lambda said: said.update(version=2),
        "no version": lambda said: said.pop("version"),
        "name": lambda said: said.update(name="\x1b[1m"),
        "identity": lambda said: said.update(identity="00"),
        "identity no hex": lambda said: said.update(identity="x" * 64),
        "pairs": lambda said: said.update(pairs=5),
        "pair": lambda said: said.update(pairs=[5]),
        "key": keys(key=""),
        "key missing": keys(key=None),
        "generation": keys(generation="x"),
        "since": keys(since="x"),
    }


@pytest.mark.parametrize("damage", [*damages(), "cut", "empty", "no JSON", "a list"])
def test_a_damaged_file_is_told_of_and_left_as_it_is(path: Path, damage: str) -> None:
    pairings = Pairings.open(path)
    pairings.add(new())
    whole = path.read_bytes()
    texts = {"cut": whole[:-40], "empty": b"", "no JSON": b"\xff{", "a list": b"[]"}
    if damage in texts:
        path.write_bytes(texts[damage])
    else:
        said = json.loads(whole)
        damages()[damage](said)
        path.write_text(json.dumps(said))
    left = path.read_bytes()
    for use in (lambda: pairings.pairs, lambda: pairings.add(new(2)), lambda: Pairings.open(path)):
        with pytest.raises(LocalProtocolError, match=r"damaged|another version") as caught:
            use()
        assert "00000001" not in str(caught.value)
    assert path.read_bytes() == left


def test_a_file_that_is_gone_is_not_made_anew_behind_ones_back(path: Path) -> None:
    pairings = Pairings.open(path)
    path.unlink()
    for use in (lambda: pairings.pairs, lambda: pairings.add(new()), lambda: pairings.forget("x")):
        with pytest.raises(LocalProtocolError, match="gone"):
            use()
    assert not path.exists()


def test_a_write_that_fails_leaves_what_was_there(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairings = Pairings.open(path)
    pairings.add(new())

    def full(*args: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        pairings.add(new(2))
    assert len(pairings.pairs) == 1
    assert sorted(os.listdir(path.parent)) == ["pairings.json", "pairings.json.lock"]


def test_names_are_made_different_and_a_device_is_known_once(path: Path) -> None:
    pairings = Pairings.open(path)
    names = [pairings.add(new(n)).name for n in range(3)]
    assert names == ["phone", "phone 2", "phone 3"]
    assert pairings.add(new(4, "x" * 64)).name == "x" * 64
    assert pairings.add(new(5, "x" * 64)).name == "x" * 62 + " 2"
    for n in (6, 7):
        pairings.add(new(n, "device", b"i" * 32))
    assert [pair.id for pair in pairings.pairs if pair.is_device] == [new(7).id]


def test_who_is_forgotten_is_unknown(path: Path) -> None:
    pairings = Pairings.open(path)
    pair = pairings.add(new())
    assert pairings.key_of(pair.id, 1) == pair.keys.key
    pairings.forget("phone")
    assert pairings.key_of(pair.id, 1) is None
    with pytest.raises(Unauthorized, match="forgotten"):
        pairings.proved(pair.id, 1)
    pairings.welcomed(pair, b"e" * 32)
    assert pairings.pairs == ()
    for use in (pairings.forget, pairings.find):
        with pytest.raises(LocalProtocolError, match="no pair 'phone'"):
            use("phone")


def test_a_device_does_not_answer_to_its_own_key(path: Path) -> None:
    """Whom we reach hands out the keys; if both did, they would differ."""
    pairings = Pairings.open(path)
    pair = pairings.add(new(id_secret=b"i" * 32))
    assert pairings.key_of(pair.id, 1) is None


def test_keys_follow_one_another(path: Path, tmp_path: Path) -> None:
    clock = Clock()
    device = Pairings.open(path, clock=clock)
    client = Pairings.open(tmp_path / "client.json", clock=clock)
    ours, theirs = device.add(new()), client.add(new(id_secret=b"i" * 32))
    assert device.proved(ours.id, 1)[1] is None
    clock.now += DAY
    _, entropy = device.proved(ours.id, 1)
    assert entropy
    # Another process of the device hears of it by the file, and of a client that missed it.
    assert Pairings.open(path, clock=clock).proved(ours.id, 1)[1] == entropy
    client.welcomed(theirs, entropy)
    client.welcomed(theirs, b"x" * 32)  # late, from another of us: it changes nothing
    (known,) = client.pairs
    assert known.keys.generation == 2
    assert known.keys.key == device.key_of(ours.id, 2) == following(theirs.keys.key, entropy)
    assert known.seen == clock.now
    assert device.proved(ours.id, 2)[1] is None
    clock.now += DAY
    assert device.proved(ours.id, 2)[1]
    assert device.pairs[0].seen == clock.now
    assert Pairings.open(path).pairs[0].keys.since is None, "the newest was not proved yet"


def test_ids_change_with_the_month(path: Path) -> None:
    clock = Clock()
    pairings = Pairings.open(path, clock=clock)
    id, token = pairings.own_id(), pairings.own_token()
    clock.now += EPOCH
    assert pairings.own_id() != id
    assert pairings.own_token() != token


ADDING = """
import sys
from peerjs_proto.pairing import NewPair
from peerjs_trio.pairing import Pairings
path, start = sys.argv[1], int(sys.argv[2])
pairings = Pairings.open(path)
for n in range(start, start + 20):
    pairings.add(NewPair(f"{n:032x}", n.to_bytes(32, "big"), "phone"))
"""


def test_processes_take_turns(path: Path) -> None:
    command = [sys.executable, "-c", ADDING, str(path)]
    running = [subprocess.Popen([*command, str(start)], cwd=ROOT) for start in (0, 100, 200)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    pairs = Pairings.open(path).pairs
    assert len(pairs) == len({pair.id for pair in pairs}) == len({p.name for p in pairs}) == 60


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_pairings_file() == tmp_path / "peerjs" / "pairings.json"
    assert Pairings.open().name
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert default_pairings_file() == tmp_path / ".local/share/peerjs/pairings.json"
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/device:/var/lib/other")
    assert default_pairings_file() == Path("/var/lib/device/pairings.json")


def test_without_the_library_proofs_work_and_first_contact_names_the_extra() -> None:
    script = (
        "import sys; sys.modules['spake2'] = None\n"
        "from peerjs_trio.pairing import Pairings, prove, verify\n"
        "try: from peerjs_trio.pairing import pair_with\n"
        "except ModuleNotFoundError as error: print(error)"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "pip install" in done.stdout
    assert "pairing]" in done.stdout
