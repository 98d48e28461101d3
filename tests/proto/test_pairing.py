"""First contact without I/O: the right code, wrong ones, and those who stand between."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerjs_proto.errors import DecodeError, LocalProtocolError, Unauthorized
from peerjs_proto.pair_codes import Codes
from peerjs_proto.pair_keys import tag_of
from peerjs_proto.pair_texts import refused, write
from peerjs_proto.proofs import Channel

pytest.importorskip("spake2", reason="pairing needs the extra pairing")

from peerjs_proto.pairing import ClientContact, Device, DeviceContact, clean_code
from peerjs_proto.pake import Pake

CHANNEL = Channel(("sha-256 AA",), ("sha-256 BB",))
ID_SECRET = b"i" * 32
HERS, HIS = bytes(range(64)), bytes(range(64, 128))


@attrs.frozen
class Contact:
    codes: Codes
    device: DeviceContact
    client: ClientContact

    def hello(self) -> Device:
        return self.client.receive_hello(self.device.receive(self.client.hello, 0.0))

    def confirm(self, code: str = "123456") -> str:
        """All up to the client's last message."""
        pake = self.client.enter(code, name="phone", entropy=HERS)
        return self.client.receive_pake(self.device.receive(pake, 1.0))


def contact(codes: Codes | None = None, hers: Channel = CHANNEL, his: Channel = CHANNEL) -> Contact:
    if codes is None:
        codes = Codes()
        codes.show("123456", 0.0)
    terms: dict[str, Any] = {"name": "kitchen", "id_secret": ID_SECRET}
    return Contact(
        codes, DeviceContact(his, codes=codes, entropy=HIS, **terms), ClientContact(hers)
    )


def test_both_have_the_same_pair_and_each_others_name() -> None:
    one = contact()
    assert one.hello() == Device("kitchen", tag_of(ID_SECRET))
    answer = one.device.receive(one.confirm("123 456"), 2.0)
    theirs, ours = one.client.receive_confirm(answer), one.device.pair
    assert ours is not None
    assert (ours.id, ours.key) == (theirs.id, theirs.key)
    assert (ours.name, theirs.name) == ("phone", "kitchen")
    assert (ours.id_secret, theirs.id_secret) == (None, ID_SECRET)
    assert one.codes.wanted_at(2.0) == 2.0, "a code is for one"
    with pytest.raises(Unauthorized, match="over"):
        one.device.receive(one.client.hello, 3.0)


def test_a_wrong_code_is_refused_and_counts() -> None:
    codes = contact().codes
    for _ in range(3):
        one = contact(codes)
        one.hello()
        with pytest.raises(Unauthorized, match="code is wrong"):
            one.device.receive(one.confirm("123457"), 1.0)
        assert one.device.pair is None
        one.device.end(1.0)
    late = contact(codes)
    late.hello()
    with pytest.raises(Unauthorized, match="no code can be tried"):
        late.confirm()


def test_a_try_counts_when_its_connection_breaks() -> None:
    codes = contact().codes
    for _ in range(3):
        one = contact(codes)
        one.hello()
        one.confirm()
        one.device.end(1.0)
        one.device.end(1.0)
        with pytest.raises(Unauthorized, match="over"):
            one.device.receive("{}", 1.0)
    assert codes.take(1.0) is None


def test_of_two_with_the_right_code_one_is_paired() -> None:
    one = contact()
    other = contact(one.codes)
    for each in (one, other):
        each.hello()
    first, second = one.confirm(), other.confirm()
    assert one.device.receive(first, 2.0)
    with pytest.raises(Unauthorized, match="used"):
        other.device.receive(second, 2.0)


def test_a_device_that_does_not_know_the_code_is_found_out() -> None:
    # It says that all is well, whatever the client has proved.
    one, impostor = contact(), contact()
    one.hello()
    impostor.hello()
    one.client.receive_pake(
        impostor.device.receive(one.client.enter("654321", name="phone", entropy=HERS), 0.0)
    )
    with pytest.raises(Unauthorized, match="stands between"):
        one.client.receive_confirm(
            write("confirm", proof="00" * 32, secret="00" * 32)  # the best it can do
        )


@pytest.mark.parametrize("side", ["client", "device"])
def test_who_stands_between_is_found_out(side: str) -> None:
    """Every message is relayed as it is; the certificates are the relay's."""
    hers = Channel(CHANNEL.client, ("sha-256 MM",))
    his = Channel(("sha-256 NN",), CHANNEL.server)
    one = contact(hers=hers, his=CHANNEL) if side == "client" else contact(his=his)
    one.hello()
    with pytest.raises(Unauthorized, match="code is wrong"):
        one.device.receive(one.confirm(), 1.0)


@pytest.mark.parametrize("change", [{"name": "mallory"}, {"proof": "00" * 32}])
def test_the_clients_name_is_covered(change: dict[str, str]) -> None:
    one = contact()
    one.hello()
    with pytest.raises(Unauthorized):
        one.device.receive(json.dumps(json.loads(one.confirm()) | change), 1.0)


@pytest.mark.parametrize("change", [{"name": "mallory"}, {"tag": "XXXX"}])
def test_the_devices_name_is_covered(change: dict[str, str]) -> None:
    one = contact()
    hello = json.loads(one.device.receive(one.client.hello, 0.0))
    one.client.receive_hello(json.dumps(hello | change))
    with pytest.raises(Unauthorized):
        one.device.receive(one.confirm(), 1.0)


def test_the_id_secret_is_covered() -> None:
    one = contact()
    one.hello()
    answer = json.loads(one.device.receive(one.confirm(), 1.0))
    with pytest.raises(Unauthorized):
        one.client.receive_confirm(json.dumps(answer | {"secret": "00" * 32}))


def test_two_of_one_role_do_not_meet() -> None:
    assert contact().device.receive(contact().client.hello, 0.0)
    for role in ("client", "device"):
        one, other = Pake(role, "123456", HERS), Pake(role, "123456", HIS)
        with pytest.raises(DecodeError, match="OffSides"):
            one.key(other.message)


def test_a_message_sent_back_is_refused() -> None:
    one = contact()
    one.hello()
    mine = one.client.enter("123456", name="phone", entropy=HERS)
    with pytest.raises(DecodeError, match="OffSides"):
        one.client.receive_pake(mine)
    again = contact()
    again.hello()
    point = json.loads(again.client.enter("123456", name="phone", entropy=HERS))["message"]
    with pytest.raises(DecodeError, match="ReflectionThwarted"):
        again.client.receive_pake(write("pake", message="42" + point[2:]))


@pytest.mark.parametrize(
    "point",
    [
        "00" * 32,  # of low order
        "01" + "00" * 31,  # zero
        "02" + "00" * 31,  # not on the curve
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",  # of order 8
    ],
)
def test_points_that_would_give_the_key_away(point: str) -> None:
    one = contact()
    one.hello()
    with pytest.raises(DecodeError, match="SPAKE2"):
        one.device.receive(write("pake", message="41" + point), 0.0)
    one.device.end(0.0)


def test_a_code_as_people_type_it() -> None:
    assert clean_code(" 123-456 ") == "123456"
    for text in ("", "12345", "12345x", "１２３４５６"):
        with pytest.raises(LocalProtocolError, match="6 digits"):
            clean_code(text)


@pytest.mark.parametrize("name", ["", "\x1b[31m", " kitchen"])
def test_names_are_checked_on_both_sides(name: str) -> None:
    with pytest.raises(LocalProtocolError):
        DeviceContact(CHANNEL, name=name, id_secret=ID_SECRET, codes=Codes(), entropy=HIS)
    one = contact()
    one.hello()
    with pytest.raises(LocalProtocolError):
        one.client.enter("123456", name=name, entropy=HERS)
    confirm = json.loads(one.confirm())
    with pytest.raises(DecodeError):
        one.device.receive(json.dumps(confirm | {"name": name}), 1.0)
    with pytest.raises(DecodeError):
        one.client.receive_hello(write("hello", versions=[1], name=name, tag="ABCD"))


@pytest.mark.parametrize("tag", [None, "", "ABCDE", "abcd", 5])
def test_a_tag_is_four_letters(tag: object) -> None:
    with pytest.raises(DecodeError, match="four letters"):
        contact().client.receive_hello(write("hello", versions=[1], name="kitchen", tag=tag))


@pytest.mark.parametrize("text", [b"", "", "{}", '{"type":"hello","versions":[2]}', refused("no")])
def test_what_is_no_message_is_refused(text: str | bytes) -> None:
    one = contact()
    with pytest.raises((DecodeError, Unauthorized)):
        one.device.receive(text, 0.0)
    with pytest.raises((DecodeError, Unauthorized)):
        one.client.receive_hello(text)


@settings(max_examples=50)
@given(st.lists(st.text(max_size=40) | st.sampled_from(["hello", "pake", "confirm"]), max_size=4))
def test_any_texts_are_answered_or_refused(texts: list[str]) -> None:
    one = contact()
    for text in texts:
        for said in (text, write(text, versions=[1], message="41" + "02" * 32, proof="00" * 32)):
            try:
                one.device.receive(said, 0.0)
            except (DecodeError, Unauthorized):
                one.device.end(0.0)
    assert one.device.pair is None
