"""peer-fetch.js in a real page: its WebSocket, as users of the browser's know it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.interop.chromium import Browser
from tests.interop.web import Web, open_web

pytestmark = [pytest.mark.trio, pytest.mark.browser]

MESSAGE = 1_048_576
"Bytes of the largest, both ways."


@pytest.fixture
async def web(browser: Browser, site: str) -> AsyncIterator[Web]:
    async with open_web(browser, site) as web:
        yield web


async def test_messages_of_every_kind_come_back(web: Web) -> None:
    said = await web.run("""async () => {
        const { socket, next } = await http.socket("/socket?choose=b", ["a", "b"]);
        const states = [socket.readyState, socket.url, socket.bufferedAmount];
        const said = [await next(), states, socket.readyState === socket.OPEN];
        socket.send("text é😀");
        socket.send("");
        socket.send(new Uint8Array([1, 2, 3, 4]).subarray(1, 3));
        socket.send(new Blob(["blob"]));
        socket.send(new ArrayBuffer(0));
        for (let n = 0; n < 5; n++) {
            const [, data] = await next();
            said.push(typeof data === "string" ? data : [...new Uint8Array(data)]);
        }
        socket.binaryType = "blob";
        socket.send(new Uint8Array([7]));
        const [, blob] = await next();
        said.push([blob instanceof Blob, ...new Uint8Array(await blob.arrayBuffer())]);
        return [...said, socket.bufferedAmount, socket.extensions];
    }""")
    assert said == [
        ["open", "b"],
        [0, "ws://peer.invalid/socket?choose=b", 0],
        True,
        "text é😀",
        "",
        [2, 3],
        [*b"blob"],
        [],
        [True, 7],
        0,
        "",
    ]


async def test_large_messages(web: Web) -> None:
    """Four times the window, in parts; one letter more is refused, and harms nothing."""
    text, binary, refused, small, held = await web.run(
        """async (size) => {
        const { socket, next } = await http.socket("/socket");
        await next();
        const bytes = new Uint8Array(size).map((_, n) => n);
        socket.send("é".repeat(size / 2));
        socket.send(bytes);
        const held = socket.bufferedAmount;
        const text = (await next())[1] === "é".repeat(size / 2);
        const back = new Uint8Array((await next())[1]);
        const same = back.length === size && back.every((byte, n) => byte === bytes[n]);
        let refused = "";
        try { socket.send(new Uint8Array(size + 1)); } catch ({ name }) { refused = name; }
        socket.send("small");
        return [text, same, refused, (await next())[1], held];
    }""",
        MESSAGE,
    )
    assert (text, binary, refused, small, held) == (True, True, "TypeError", "small", 2 * MESSAGE)


async def test_closing_from_here(web: Web) -> None:
    said = await web.run("""async () => {
        const { socket, next } = await http.socket("/socket");
        await next();
        socket.send("quiet");
        socket.close(4001, "réason");
        const closing = socket.readyState === socket.CLOSING;
        socket.send("sent after");
        const said = [closing, await next(), socket.readyState === socket.CLOSED];
        const without = await http.socket("/socket");
        await without.next();
        without.socket.close();
        return [...said, await without.next()];
    }""")
    assert said == [True, ["close", 4001, "", True], True, ["close", 1005, "", True]]
    await web.wait_for("closed 4001 réason")
    await web.wait_for("closed 1005 ")


async def test_closing_from_there(web: Web) -> None:
    said = await web.run("""async () => {
        const { socket, next } = await http.socket("/socket");
        await next();
        socket.send("close 3999 a reason");
        return [await next(), socket.readyState];
    }""")
    assert said == [["close", 3999, "a reason", True], 3]


async def test_refused_and_given_up(web: Web) -> None:
    function = """async (url) => {
        const { next, socket } = await http.socket(url);
        return [await next(), await next(), socket.readyState];
    }"""
    error, (close, code, reason, clean), state = await web.run(function, "/socket?refuse=403")
    assert (error, close, code, clean, state) == (["error"], "close", 1006, False, 3)
    assert reason == "the server refused, with status 403"
    assert "not offered" in (await web.run(function, "/socket?choose=x"))[1][2]

    early = """async () => {
        const { next, socket } = await http.socket("/socket");
        socket.close();
        return [await next(), (await next())[1], socket.readyState];
    }"""
    assert await web.run(early) == [["error"], 1006, 3]


async def test_what_is_no_websocket(web: Web) -> None:
    for made, name in (
        ("new http.fetch.WebSocket('http://[')", "SyntaxError"),
        ("new http.fetch.WebSocket('data:,x')", "SyntaxError"),
        ("new http.fetch.WebSocket('/', 'a b')", "SyntaxError"),
        ("new http.fetch.WebSocket('/', ['a', 'a'])", "SyntaxError"),
        ("new http.fetch.WebSocket('/socket').send('')", "InvalidStateError"),
        ("new http.fetch.WebSocket('/socket').close(1001)", "InvalidAccessError"),
        ("new http.fetch.WebSocket('/socket').close(1000, 'x'.repeat(124))", "SyntaxError"),
    ):
        failure = await web.run(f"() => http.failure((async () => {made})())")
        assert failure["name"] == name, made


async def test_the_connection_is_lost(web: Web) -> None:
    await web.run("""async () => {
        const { socket, next } = await http.socket("/socket");
        http.next = next;
        await next();
    }""")
    web.serving.cancel()
    error, close = await web.run("async () => [await http.next(), await http.next()]")
    assert (error, close[:2], close[3]) == (["error"], ["close", 1006], False)
