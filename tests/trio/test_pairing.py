"""Pairing over real connections: those who know each other get in, and nobody else."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest
import trio

from peerjs_proto.pair_keys import DAY, EPOCH
from peerjs_trio import (
    BrokenConnection,
    DataConnection,
    LocalProtocolError,
    Peer,
    Unauthorized,
    open_peer,
    open_server,
)
from peerjs_trio.pairing import (
    Pair,
    Pairings,
    Verified,
    connect_paired,
    discover,
    offer_pairing,
    pair_with,
    prove,
    stay_reachable,
    verify,
)

pytest.importorskip("spake2", reason="pairing needs the extra pairing")

from peerjs_trio.pairing import contact, handshake, reach
from tests.trio import between
from tests.trio.between import Middle

pytestmark = pytest.mark.trio

SECRET = "sixteen letters, or more"
RAW: dict[str, Any] = {"serialization": "raw", "reliable": True, "label": "app"}
PAIRING: dict[str, Any] = {**RAW, "label": contact.LABEL}


class Clock:
    """Unix time, set by hand."""

    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


@attrs.define
class Town:
    """A device, somebody who wants to reach it, and a server that lets them meet."""

    url: str
    device: Peer
    client: Peer
    kept: Pairings
    "The device's."
    known: Pairings
    "The client's."
    clock: Clock
    codes: list[str] = attrs.Factory(list)
    _shown: trio.Event = attrs.Factory(trio.Event)

    async def pair(self) -> Pair:
        async with self.offer():
            return await pair_with(self.client, "device", self.known, ask_code=self.right_code)

    async def right_code(self, device: contact.Device) -> str:
        return self.codes[-1]

    @asynccontextmanager
    async def offer(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            offering = partial(offer_pairing, show_code=self.show)
            nursery.start_soon(offering, self.device, self.kept)
            await self.code(len(self.codes) + 1)
            yield
            nursery.cancel_scope.cancel()

    def show(self, code: str) -> None:
        self.codes.append(code)
        self._shown.set()
        self._shown = trio.Event()

    async def code(self, number: int) -> str:
        """Wait until so many codes have been shown; the last."""
        with trio.fail_after(30):
            while len(self.codes) < number:
                await self._shown.wait()
        return self.codes[-1]

    async def dial(self, **options: Any) -> tuple[DataConnection, DataConnection]:
        options = RAW | options
        ours = await self.client.connect("device", **options)
        return ours, await anext(self.device.incoming_connections("app"))

    async def shake(
        self, *, known: dict[str, Any], taken: dict[str, Any]
    ) -> tuple[Verified | Exception, Exception | None]:
        """What the device and the client make of it."""
        ours, theirs = await self.dial()
        outcome: list[Any] = [None, None]

        async def run(at: int, work: Callable[[], Any]) -> None:
            try:
                outcome[at] = await work()
            except Unauthorized as error:
                outcome[at] = error

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, 0, partial(verify, theirs, **taken))
            nursery.start_soon(run, 1, partial(prove, ours, **known))
        for end, result in ((theirs, outcome[0]), (ours, outcome[1])):
            assert end.is_open != isinstance(result, Exception)
        if not isinstance(outcome[0], Exception):
            await ours.send(b"the application's own")
            assert await theirs.receive() == b"the application's own"
            await ours.aclose()
        return outcome[0], outcome[1]

    async def shake_pair(self) -> tuple[Verified | Exception, Exception | None]:
        return await self.shake(known={"pairings": self.known}, taken={"pairings": self.kept})


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    clock = Clock()
    kept = Pairings.open(tmp_path / "device.json", name="kitchen", clock=clock)
    known = Pairings.open(tmp_path / "client.json", name="phone", clock=clock)
    async with (
        open_server(expire_timeout=1) as server,
        open_peer("device", server=server.url) as device,
        open_peer("client", server=server.url) as client,
    ):
        yield Town(server.url, device, client, kept, known, clock)


async def test_they_pair_and_know_each_other_from_then_on(town: Town) -> None:
    pair = await town.pair()
    (theirs,) = town.kept.pairs
    assert (pair.name, theirs.name) == ("kitchen", "phone")
    assert pair.tag == town.kept.tag
    assert town.kept.own_id(0.0) == pair.remote_ids(0.0)[0]
    assert (await town.shake_pair())[0] == Verified(theirs)
    assert (await town.shake_pair())[0] == Verified(theirs)


async def test_after_a_restart_they_find_each_other_without_a_word(
    town: Town, tmp_path: Path
) -> None:
    await town.pair()
    town.clock.now += EPOCH  # an id that was never said to anybody
    kept = Pairings.open(tmp_path / "device.json", clock=town.clock)
    known = Pairings.open(tmp_path / "client.json", clock=town.clock)
    async with (
        open_peer(kept.own_id(), token=kept.own_token(), server=town.url) as device,
        open_peer(server=town.url) as client,
    ):
        pair = known.find("kitchen")
        ours, theirs = await dial_paired(client, device, pair, town.clock())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(prove, ours, pairings=known))
            verified = await verify(theirs, pairings=kept)
        assert verified.name == "phone"


async def dial_paired(
    client: Peer, device: Peer, pair: Pair, now: float
) -> tuple[DataConnection, DataConnection]:
    # The wall clock is what connect_paired goes by, and the tests' is another.
    ours = await client.connect(pair.remote_ids(now)[0], **RAW)
    return ours, await anext(device.incoming_connections("app"))


async def test_a_device_is_found_under_its_neighbours_ids(town: Town, tmp_path: Path) -> None:
    pair = await town.pair()
    async with open_peer(pair.remote_ids()[1], server=town.url):
        ours = await connect_paired(town.client, pair, **RAW)
        assert ours.peer == pair.remote_ids()[1]
    with pytest.raises(LocalProtocolError, match="no device"):
        await connect_paired(town.device, town.kept.pairs[0])


async def test_a_wrong_code_stores_nothing_and_three_are_the_end_of_it(town: Town) -> None:
    async def wrong(device: contact.Device) -> str:
        return f"{(int(town.codes[0]) + 1) % 1_000_000:06}"

    pair = partial(pair_with, town.client, "device", town.known)
    async with town.offer():
        for _ in range(3):
            with pytest.raises(Unauthorized, match="code is wrong"):
                await pair(ask_code=wrong)
        await town.code(2)
        assert town.kept.pairs == town.known.pairs == ()
        spent = town.codes[0]

        async def old(device: contact.Device) -> str:
            return spent

        with pytest.raises(Unauthorized, match="code is wrong"):
            await pair(ask_code=old)
        assert (await pair(ask_code=town.right_code)).name == "kitchen"
        with pytest.raises(Unauthorized, match="code is wrong"):
            await pair(ask_code=old)  # and one that was used is as good as any other
    assert len(town.kept.pairs) == 1


async def test_tries_at_one_time_count_together(town: Town) -> None:
    guesses, refusals = iter(range(8)), list[str]()

    async def guess(device: contact.Device) -> str:
        return f"{(int(town.codes[0]) + 1 + next(guesses)) % 1_000_000:06}"

    async def attempt() -> None:
        with pytest.raises(Unauthorized) as caught:
            await pair_with(town.client, "device", town.known, ask_code=guess)
        refusals.append(str(caught.value))

    async with town.offer():
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(attempt)
        wrong = [text for text in refusals if "code is wrong" in text]
        assert len(refusals) == 8
        # The first code takes three; what its successors take is as wrong.
        assert len(wrong) <= 3 * len(town.codes)
        assert town.known.pairs == town.kept.pairs == ()


async def test_what_cannot_be_a_code_is_no_try(town: Town) -> None:
    async def letters(device: contact.Device) -> str:
        assert (device.name, device.tag) == ("kitchen", town.kept.tag)
        return "password"

    async with town.offer():
        for _ in range(4):
            with pytest.raises(LocalProtocolError, match="6 digits"):
                await pair_with(town.client, "device", town.known, ask_code=letters)
        assert await pair_with(town.client, "device", town.known, ask_code=town.right_code)


async def test_strangers_see_a_name_and_a_tag(town: Town) -> None:
    async with town.offer():
        found = await discover(town.client, ["device", "nobody", "device"])
        assert found == {"device": contact.Device("kitchen", town.kept.tag)}
        for talk in (b"\0\1", "{}", "x" * 9000):
            line = await town.client.connect("device", **PAIRING)
            await line.send(talk)
            refusal = await line.receive()
            assert re.fullmatch(r'\{"type":"refused","reason":"[^"]+"\}', refusal)
            with pytest.raises(anyio.EndOfStream):
                await line.receive()
        # Who wants a connection that proofs cannot be bound to gets none.
        line = await town.client.connect("device", label=contact.LABEL, serialization="json")
        assert (await line.receive()).startswith('{"type":"refused"')


async def test_the_oldest_of_too_many_makes_room(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact, "_AT_ONCE", 2)
    async with town.offer():
        first, *_ = [await town.client.connect("device", **PAIRING) for _ in range(3)]
        with trio.fail_after(10), pytest.raises(anyio.EndOfStream):
            await first.receive()
        assert await discover(town.client, ["device"])


async def test_who_is_not_paired_gets_nothing(town: Town, tmp_path: Path) -> None:
    await town.pair()
    stranger = Pairings.open(tmp_path / "stranger.json")
    theirs, ours = await town.shake(known={"pairings": stranger}, taken={"pairings": town.kept})
    assert "left without a proof" in str(theirs)
    assert "we have none: pair" in str(ours)
    theirs, ours = await town.shake(known={}, taken={"pairings": town.kept})
    assert isinstance(theirs, Unauthorized)


async def test_who_was_forgotten_gets_nothing(town: Town) -> None:
    await town.pair()
    town.kept.forget("phone")
    theirs, ours = await town.shake_pair()
    assert "does not hold" in str(theirs)
    assert "refuses: the proof does not hold" in str(ours)
    await town.pair()
    assert isinstance((await town.shake_pair())[0], Verified)
    assert len(town.known.pairs) == 1


@pytest.mark.parametrize(
    ("known", "taken", "right"),
    [
        (SECRET, SECRET, True),
        (SECRET, f"{SECRET}!", False),
        (None, SECRET, False),
    ],
)
async def test_a_shared_secret(town: Town, known: str | None, taken: str, right: bool) -> None:
    theirs, ours = await town.shake(known={"secret": known}, taken={"secret": taken})
    assert (theirs == Verified(None)) == right
    assert (ours is None) == right


async def test_either_will_do_where_both_are_taken(town: Town) -> None:
    await town.pair()
    taken: dict[str, Any] = {"secret": SECRET, "pairings": town.kept}
    assert (await town.shake(known={"secret": SECRET}, taken=taken))[0] == Verified(None)
    both = await town.shake(known={"secret": SECRET, "pairings": town.known}, taken=taken)
    assert isinstance(both[0], Verified)
    assert both[0].name == "phone"


async def test_a_short_secret_is_refused_on_either_side(town: Town) -> None:
    ours, theirs = await town.dial()
    for use in (verify, prove):
        with pytest.raises(LocalProtocolError, match="16 characters"):
            await use(theirs, secret="hello")
    with pytest.raises(LocalProtocolError, match="needs a secret"):
        await verify(theirs)
    assert ours.is_open


async def test_a_server_that_asks_for_nothing_is_heard(town: Town) -> None:
    ours, theirs = await town.dial()
    await theirs.send(b"hello")
    assert await prove(ours, secret=SECRET) == b"hello"
    assert ours.is_open


async def test_silence_and_noise_are_no_proof(town: Town) -> None:
    ours, theirs = await town.dial()
    with pytest.raises(Unauthorized, match=r"no proof in 0\.1 seconds"):
        await verify(theirs, secret=SECRET, within=0.1)
    ours, theirs = await town.dial()
    with pytest.raises(Unauthorized, match=r"said nothing for 0\.1 seconds"):
        await prove(ours, secret=SECRET, within=0.1)
    for noise in (b"bytes", "text", '{"type":"response"}'):
        ours, theirs = await town.dial()
        await ours.send(noise)
        with pytest.raises(Unauthorized):
            await verify(theirs, secret=SECRET)
        await theirs.aclose()
    ours, theirs = await town.dial()
    await ours.aclose()
    with pytest.raises(Unauthorized, match="left without a proof"):
        await verify(theirs, secret=SECRET)
    ours, theirs = await town.dial()
    await theirs.aclose()
    with pytest.raises(BrokenConnection):
        await prove(ours, secret=SECRET)
    ours, theirs = await town.dial(serialization="json")
    with pytest.raises(Unauthorized, match="raw, reliable"):
        await verify(theirs, secret=SECRET)


async def test_a_damaged_file_lets_nobody_in(town: Town, tmp_path: Path) -> None:
    await town.pair()
    (tmp_path / "device.json").write_text("{")
    theirs, ours = await town.shake_pair()
    assert "damaged" in str(theirs)
    assert "damaged" not in str(ours)


async def test_keys_rotate_and_a_lost_message_shuts_nobody_out(town: Town, tmp_path: Path) -> None:
    await town.pair()
    for day in range(1, 4):
        town.clock.now += DAY
        # A client that vanishes between its proof and the welcome.
        ours, theirs = await town.dial()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(verify, theirs, pairings=town.kept))
            before = (tmp_path / "client.json").read_bytes()
            await prove(ours, pairings=town.known)
            (tmp_path / "client.json").write_bytes(before)
        assert town.known.pairs[0].keys.generation == day
        assert isinstance((await town.shake_pair())[0], Verified)
        assert town.known.pairs[0].keys.generation == day + 1
        assert isinstance((await town.shake_pair())[0], Verified)
        assert town.kept.pairs[0].keys.generation == day + 1


async def test_tabs_that_share_a_store_do_not_shut_each_other_out(town: Town) -> None:
    await town.pair()
    for _ in range(2):
        town.clock.now += DAY
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                ours, theirs = await town.dial()
                nursery.start_soon(partial(verify, theirs, pairings=town.kept))
                nursery.start_soon(partial(prove, ours, pairings=town.known))
        assert isinstance((await town.shake_pair())[0], Verified)
    assert town.known.pairs[0].keys.key == town.kept.pairs[0].keys.key
    assert town.known.pairs[0].keys.generation == 3


@asynccontextmanager
async def stand_between(town: Town) -> AsyncIterator[Middle]:
    """From here on the client is registered with a server that somebody else runs."""
    async with (
        between.stand_between(town.url, "device", "victim", "app", contact.LABEL) as middle,
        open_peer("victim", server=middle.url) as town.client,
    ):
        yield middle


@pytest.mark.parametrize("method", ["pair", "secret"])
async def test_who_stands_in_the_middle_of_a_handshake_gets_nothing(
    town: Town, method: str
) -> None:
    await town.pair()
    known: dict[str, Any] = {"pairings": town.known} if method == "pair" else {"secret": SECRET}
    taken: dict[str, Any] = {"pairings": town.kept} if method == "pair" else {"secret": SECRET}
    async with stand_between(town) as middle:
        ours = await town.client.connect("device", **RAW)
        theirs = await anext(town.device.incoming_connections("app"))
        async with trio.open_nursery() as nursery:

            async def client() -> None:
                with pytest.raises(Unauthorized, match="refuses: the proof does not hold"):
                    await prove(ours, **known)

            nursery.start_soon(client)
            with pytest.raises(Unauthorized, match="does not hold"):
                await verify(theirs, **taken)
        kinds = [re.findall(r'"type":"(\w+)"', str(text))[0] for text in middle.heard]
        assert kinds == ["challenge", "response", "refused"]


async def test_without_the_fingerprints_the_middle_would_get_through(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the tests beside this one show is the doing of the fingerprints, and of nothing else."""
    nothing = (("sha-256 AA",), ("sha-256 AA",))
    monkeypatch.setattr(handshake, "fingerprints_of", lambda connection: nothing)
    async with stand_between(town):
        ours = await town.client.connect("device", **RAW)
        theirs = await anext(town.device.incoming_connections("app"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(prove, ours, secret=SECRET))
            assert await verify(theirs, secret=SECRET) == Verified(None)


async def test_who_stands_in_the_middle_of_a_first_contact_gets_nothing(town: Town) -> None:
    async with stand_between(town) as middle, town.offer():
        with pytest.raises(Unauthorized, match="code is wrong"):
            await pair_with(town.client, "device", town.known, ask_code=town.right_code)
        assert town.known.pairs == town.kept.pairs == ()
        assert town.kept.id_secret.hex() not in "".join(map(str, middle.heard))
        kinds = [re.findall(r'"type":"(\w+)"', str(text))[0] for text in middle.heard]
        assert kinds == ["hello", "hello", "pake", "pake", "confirm", "refused"]


async def test_a_device_stays_reachable_when_its_month_is_over(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "_LOOK", 0.01)
    clock = town.clock
    clock.now = EPOCH * 400 - 0.2  # and trio's clock goes on from there
    started = trio.current_time()
    monkeypatch.setattr(town.kept, "clock", lambda: clock.now + trio.current_time() - started)
    peers: list[Peer] = []
    both = trio.Event()

    async def work(peer: Peer) -> None:
        peers.append(peer)
        if len(peers) == 2:
            both.set()
        async for connection in peer.incoming_connections():
            await connection.send(b"hello")

    ids = [town.kept.own_id(clock.now), town.kept.own_id(clock.now + 1)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(stay_reachable, town.kept, work, server=town.url))
        ours = await town.client.connect(ids[0], **RAW)
        assert await ours.receive() == b"hello"
        with trio.fail_after(30):
            await both.wait()
        assert [peer.id for peer in peers] == ids
        assert ours.is_open, "what was open under the old id stays"
        other = await town.client.connect(ids[1], **RAW)
        assert await other.receive() == b"hello"
        await ours.aclose()
        with trio.fail_after(30):
            async for state in peers[0].states():
                if state.name == "CLOSED":
                    break
        assert peers[1].is_open
        nursery.cancel_scope.cancel()
