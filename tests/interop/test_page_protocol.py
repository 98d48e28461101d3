"""peer-fetch.js in a real page, and a server that says what a test tells it to, frame by frame."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import attrs
import pytest
import trio

from peerjs_proto.http_frames import (
    END,
    TEXT,
    Frame,
    Type,
    credit_frame,
    data_frame,
    decode_code,
    decode_credit,
    go_away_frame,
    reset_frame,
    response_frame,
    split_frame,
)
from peerjs_proto.http_io import ResetCode, ResponseHead
from peerjs_trio import DataConnection, Peer, open_peer, open_server
from tests.interop.chromium import Browser
from tests.interop.devtools import JavaScriptError, Page, open_page
from tests.interop.lab import address

pytestmark = [pytest.mark.trio, pytest.mark.browser]

OK: Final = ResponseHead(200)


@pytest.fixture
async def ends(browser: Browser, site: str) -> AsyncIterator[Ends]:
    async with (
        open_server() as server,
        open_peer("python", server=server.url, engine="wrtc") as python,
        open_page(browser, f"{site}http.html") as page,
    ):
        await page.call("http.register", address(server.url))
        yield Ends(page, python)


@attrs.frozen
class Ends:
    page: Page
    python: Peer

    @asynccontextmanager
    async def dial(self, options: str = "{}") -> AsyncIterator[Script]:
        """A fresh connection, ``options`` being JavaScript; the page has said nothing yet."""
        await self.page.run(f"http.dial({options})")
        connection = await anext(self.python.incoming_connections("peerjs-http"))
        async with connection:
            yield Script(self.page, connection)

    @asynccontextmanager
    async def connect(self, **hello: Any) -> AsyncIterator[Script]:
        """Both have said HELLO."""
        async with self.dial() as script:
            await script.send(hello_frame(**hello))
            assert (await script.frame()).type is Type.HELLO
            yield script

    async def run(self, function: str, *args: Any) -> Any:
        return await self.page.call(function, *args)


@attrs.frozen
class Script:
    """One connection, from the server's side."""

    page: Page
    connection: DataConnection

    async def send(self, *messages: str | bytes) -> None:
        for message in messages:
            await self.connection.send(message)

    async def frame(self) -> Frame:
        """The next of the page's."""
        with trio.fail_after(10):
            frame = split_frame(await self.connection.receive())
        assert frame is not None
        return frame

    async def request(self) -> dict[str, Any]:
        """The next frame is a request; its head, with its number and its flags."""
        frame = await self.frame()
        assert frame.type is Type.REQUEST
        head: dict[str, Any] = json.loads(frame.payload)
        return head | {"number": frame.stream}

    async def closed(self) -> None:
        """The page has closed the connection, and said nothing more."""
        with trio.fail_after(10), pytest.raises(anyio.EndOfStream):
            await self.connection.receive()


def hello_frame(**members: Any) -> bytes:
    return bytes(5) + json.dumps({"versions": [1], "streams": 10, **members}).encode()


# --- HELLO -----------------------------------------------------------------------------------


async def test_a_connection_made_for_something_else(ends: Ends) -> None:
    for given in ({"label": "x"}, {"reliable": False}, {"serialization": "json"}):
        with pytest.raises(JavaScriptError) as refused:
            await ends.page.call("http.dial", {}, given)
        assert refused.value.type == "TypeError"
        assert "reliable: true" in refused.value.message


async def test_hello_and_the_least_that_it_may_say(ends: Ends) -> None:
    async with ends.dial() as script:
        await script.send(bytes(5) + b'{"versions": [7, 1], "later": {"x": []}}')
        hello = await script.frame()
        assert json.loads(hello.payload) == {
            "versions": [1],
            "window": 262_144,
            "frame": 65_536,
            "message": 1_048_576,
            "agent": "peer-fetch.js",
        }
        # One request at a time.
        await ends.run("() => void (http.two = [1, 2].map((n) => http.fetch(`/${n}`)))")
        assert (await script.request())["path"] == "/1"
        ignored = [bytes.fromhex(bad["hex"]) for bad in BAD if bad["outcome"] == "ignored"]
        assert ignored
        await script.send(*ignored)
        await script.send(response_frame(1, OK, end=True))
        assert (await script.request())["path"] == "/2"


async def test_a_server_of_another_version(ends: Ends) -> None:
    async with ends.dial() as script:
        await script.send(hello_frame(versions=[2]))
        goodbye = await script.frame()
        assert (goodbye.type, decode_code(goodbye.payload)[0]) == (Type.GOAWAY, 2)
        await script.closed()
    failure = await ends.run("() => http.failure(http.fetch.opened)")
    assert (failure["name"], failure["code"]) == ("TypeError", "VERSION")


async def test_a_server_that_says_nothing(ends: Ends) -> None:
    async with ends.dial("{ timeout: 50 }") as script:
        failure = await ends.run("() => http.failure(http.fetch('/'))")
        assert (failure["name"], failure["code"]) == ("TypeError", "TIMEOUT")
        await script.closed()


# --- who one is ------------------------------------------------------------------------------


async def test_authentication(ends: Ends) -> None:
    proves = """{ authenticate: async (channel) => {
        http.seen = [await channel.receive(), channel.fingerprints];
        channel.send("proof");
        http.seen.push(await channel.receive());
    } }"""
    async with ends.dial(proves) as script:
        await ends.run("() => void (http.asked = http.fetch('/'))")
        await script.send("challenge")
        assert await script.connection.receive() == "proof"
        await script.send("welcome", hello_frame())
        assert (await script.frame()).type is Type.HELLO
        await script.request()
        challenge, fingerprints, welcome = await ends.run("() => http.seen")
        assert (challenge, welcome) == ("challenge", "welcome")
        # One's own are the other's.
        ours = script.connection.fingerprints
        assert fingerprints == {"local": list(ours.remote), "remote": list(ours.local)}


async def test_who_cannot_authenticate(ends: Ends) -> None:
    fails = '{ authenticate: async () => { throw new Error("no key") } }'
    for options, words in (("{}", "give peerFetch the option authenticate"), (fails, "no key")):
        async with ends.dial(options) as script:
            await script.send("challenge")
            failure = await ends.run("() => http.failure(http.fetch('/'))")
            assert (failure["name"], failure["code"]) == ("TypeError", "UNAUTHORIZED")
            assert words in failure["message"]
            await script.closed()


# --- rules that a server breaks --------------------------------------------------------------

_VECTORS: Final = json.loads(
    (Path(__file__).parents[1] / "proto" / "data" / "http-frames.json").read_text("utf-8")
)
BAD: Final = [bad for bad in _VECTORS["bad"] if bad["to"] != "server"]
"""What is wrong with frames to a client, written by hand from the protocol: each comes behind
HELLO, while stream 1 waits for its response."""

BROKEN: Final[dict[str, list[str | bytes]]] = {
    "a text message": ["text"],
    "two responses": [response_frame(1, OK, end=False)] * 2,
    "a flag of a later version": [bytes((2, 0, 0, 0, 1, 8)) + b"{}"],
    "DATA of nothing": [response_frame(1, OK, end=False), data_frame(1, b"", 0)],
    "a body that is text": [response_frame(1, OK, end=False), data_frame(1, b"x", TEXT)],
    "a frame that is too large": [data_frame(1, bytes(65_531), 0)],
    **{bad["name"]: [bytes.fromhex(bad["hex"])] for bad in BAD if bad["outcome"] == "error"},
}


async def test_a_server_that_breaks_a_rule(ends: Ends) -> None:
    """It is told, and all that was under way rejects."""
    for name, messages in BROKEN.items():
        async with ends.connect() as script:
            await ends.run(
                "() => void (http.outcome = http.failure(http.fetch('/').then((r) => r.text())))"
            )
            await script.request()
            await script.send(*messages)
            goodbye = await script.frame()
            assert (goodbye.type, decode_code(goodbye.payload)[0]) == (Type.GOAWAY, 1), name
            await script.closed()
            failure = await ends.run("() => http.outcome")
            assert (failure["name"], failure["code"]) == ("TypeError", "PROTOCOL"), name
            late = await ends.run("() => http.failure(http.fetch('/'))")
            assert late["code"] == "PROTOCOL", name


async def test_a_beginning_that_breaks_a_rule(ends: Ends) -> None:
    long = json.dumps({"versions": [1], "x": "x" * 1000}).encode()
    hellos = [b"[]", b"x", b"{}", b'{"versions": [1], "window": 1023}', long]
    for message in (*(bytes(5) + hello for hello in hellos), response_frame(1, OK, end=True)):
        async with ends.dial() as script:
            await script.send(message)
            goodbye = await script.frame()
            assert (goodbye.type, decode_code(goodbye.payload)[0]) == (Type.GOAWAY, 1)
            await script.closed()


HEADS: Final[dict[bytes, ResetCode]] = {
    b"[]": ResetCode.INVALID,
    b"null": ResetCode.INVALID,
    b"{": ResetCode.INVALID,
    b"\xff": ResetCode.INVALID,
    b'{"status": 200, "headers": {}}': ResetCode.INVALID,
    b'{"status": 200, "headers": [["a"]]}': ResetCode.INVALID,
    b'{"status": 200, "headers": [["A", "b"]]}': ResetCode.INVALID,
    b'{"status": 200, "headers": [["a", "\\n1"]]}': ResetCode.INVALID,
    b'{"status": 200, "headers": [["te", "x"]]}': ResetCode.INVALID,
    '{"status": 200, "headers": [["a", "€"]]}'.encode(): ResetCode.INVALID,
    **{
        bytes.fromhex(bad["hex"])[6:]: ResetCode.INVALID for bad in BAD if "RESET" in bad["outcome"]
    },
    json.dumps({"status": 200, "headers": [["a", "b"]] * 129}).encode(): ResetCode.TOO_LARGE,
    json.dumps({"status": 200, "x": "x" * 32_768}).encode(): ResetCode.TOO_LARGE,
}


async def test_a_response_that_is_none(ends: Ends) -> None:
    """Its request alone is lost."""
    async with ends.connect() as script:
        for head, code in HEADS.items():
            await ends.run("() => void (http.outcome = http.failure(http.fetch('/')))")
            number = (await script.request())["number"]
            await script.send(b"\x02" + number.to_bytes(4, "big") + b"\0" + head)
            reset = await script.frame()
            assert (reset.type, reset.stream) == (Type.RESET, number), head
            assert decode_code(reset.payload)[0] == code, head
            assert (await ends.run("() => http.outcome"))["code"] == code.name, head
            await script.send(data_frame(number, b"late", END))  # and ignored


# --- what a server may do --------------------------------------------------------------------


async def test_reset_codes(ends: Ends) -> None:
    async with ends.connect() as script:
        for code in (0, 1, 3, 4, 5, 6, 77):
            await ends.run("() => void (http.outcome = http.failure(http.fetch('/')))")
            number = (await script.request())["number"]
            await script.send(reset_frame(number, code, "a reason"))
            failure = await ends.run("() => http.outcome")
            name = ResetCode(code).name if code < 7 else "77"
            assert (failure["name"], failure["code"]) == ("TypeError", name)
            assert failure["reason"] == "a reason"


async def test_what_was_refused_is_asked_again(ends: Ends) -> None:
    """With the same body, where it can be had again."""
    async with ends.connect() as script:
        ask = "(body) => void (http.outcome = http.fetch('/', { method: 'POST', body }))"
        await ends.run(ask, "again")
        for _ in range(2):
            number = (await script.request())["number"]
            assert (await script.frame()).payload == b"again"
            assert (await script.frame()).flags == END
            await script.send(reset_frame(number, ResetCode.REFUSED, ""))
        await script.send(response_frame((await script.request())["number"], OK, end=True))
        assert await ends.run("async () => (await http.outcome).status") == 200

    async with ends.connect() as script:
        await ends.run("""() => void (http.outcome = http.failure(http.fetch("/", {
            method: "POST", body: new Blob(["once"]).stream(),
        })))""")
        number = (await script.request())["number"]
        await script.send(reset_frame(number, ResetCode.REFUSED, ""))
        assert (await ends.run("() => http.outcome"))["code"] == "REFUSED"


async def test_a_server_that_leaves(ends: Ends) -> None:
    """What is under way goes on, what waits and what comes later does not."""
    async with ends.connect(streams=1) as script:
        await ends.run("""() => {
            http.first = http.fetch("/").then((response) => response.text());
            http.second = http.failure(http.fetch("/"));
        }""")
        await script.request()
        await script.send(go_away_frame(0, "sleeping"))
        failure = await ends.run("() => http.second")
        assert (failure["code"], failure["reason"]) == ("CLOSING", "sleeping")
        assert (await ends.run("() => http.failure(http.fetch('/'))"))["code"] == "CLOSING"
        await script.send(response_frame(1, OK, end=False), data_frame(1, b"whole", END))
        assert await ends.run("() => http.first") == "whole"

    async with ends.connect() as script:
        await script.send(go_away_frame(3, "enough"))
        assert (await ends.run("() => http.fetch.closed"))["code"] == "OVERLOAD"
        await script.closed()


async def test_frames_and_credit_are_what_the_server_says(ends: Ends) -> None:
    async with ends.connect(window=1024, frame=1100) as script:
        await ends.run("""() => void (http.outcome = http.fetch("/", {
            method: "POST", body: "x".repeat(5000),
        }))""")
        await script.request()
        left, sizes = 1024, []
        while not (frame := await script.frame()).flags & END:
            assert frame.type is Type.DATA
            sizes.append(len(frame.payload))
            left -= len(frame.payload) + 32
            assert left >= 0
            if left < 33:
                await script.send(credit_frame(1, 2000))
                left += 2000
        assert sum(sizes) == 5000
        assert max(sizes) == 1094
        too_large = await ends.run("() => http.failure(http.fetch('/' + 'x'.repeat(1100)))")
        assert too_large["code"] == "TOO_LARGE"


async def test_credit_is_given_as_the_page_reads(ends: Ends) -> None:
    async with ends.connect() as script:
        await ends.run("""async () => {
            const body = http.fetch("/").then((response) => response.body.getReader());
            http.read = async () => (await (await body).read()).value.length;
        }""")
        await script.request()
        piece = data_frame(1, bytes(32_736), 0)  # eight fill the window
        await script.send(response_frame(1, OK, end=False), *[piece] * 8)
        for _ in range(4):
            assert await ends.run("() => http.read()") == 32_736
        given = await script.frame()
        assert (given.type, decode_credit(given.payload)) == (Type.CREDIT, 4 * 32_768)
        await script.send(*[piece] * 4, data_frame(1, b"", END))
        await ends.run("() => http.read()")

        await ends.run("() => void http.fetch('/')")
        await script.request()
        await script.send(response_frame(2, OK, end=False))
        await script.send(*[data_frame(2, bytes(32_736), 0)] * 8, data_frame(2, b"x", 0))
        goodbye = await script.frame()
        assert (goodbye.type, decode_code(goodbye.payload)[0]) == (Type.GOAWAY, 1)
        assert "credit" in decode_code(goodbye.payload)[1]


async def test_a_message_that_is_no_text(ends: Ends) -> None:
    for parts, code in (
        ([(b"\xff", TEXT)], ResetCode.INVALID),
        ([(bytes(65_530), 4)] * 16 + [(bytes(97), 0)], ResetCode.TOO_LARGE),
    ):
        async with ends.connect() as script:
            await ends.run("async () => void (http.opening = http.socket('/'))")
            assert (await script.request())["websocket"]
            await script.send(response_frame(1, ResponseHead(101), end=False))
            for payload, flags in parts:
                await script.send(data_frame(1, payload, flags))
            while (frame := await script.frame()).type is Type.CREDIT:
                pass
            assert (frame.type, decode_code(frame.payload)[0]) == (Type.RESET, code)
            said = await ends.run("""async () => {
                const { next } = await http.opening;
                return [await next(), await next(), (await next()).slice(0, 2)];
            }""")
            assert said == [["open", ""], ["error"], ["close", 1006]]
