"""peer-fetch.js in a real page, asking a real Python peer: fetch, as its users know it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import trio

from tests.interop.chromium import Browser
from tests.interop.devtools import JavaScriptError
from tests.interop.http_app import PIECE
from tests.interop.web import Web, open_web

pytestmark = [pytest.mark.trio, pytest.mark.browser]

WINDOW: Final = 262_144
"Of peer-fetch.js, and of serve."
ROOM: Final = 524_288 + 65_536
"What peer-fetch.js lets the channel hold, and the frame that reaches it."
MANY: Final = 50 * 1_000_000


async def test_the_first_version_that_keeps_order(browser: Browser, site: str) -> None:
    async with open_web(browser, site, folder="peerjs-1.5.0", engine="aiortc") as web:
        ask = '() => http.json("/echo", { method: "POST", body: "x".repeat(100_000) })'
        assert len((await web.run(ask))["body"]) == 100_000


@pytest.mark.parametrize("folder", ["peerjs-1.3", "peerjs-1.4", "peerjs-2.0"])
async def test_versions_that_keep_no_order(browser: Browser, site: str, folder: str) -> None:
    with pytest.raises(JavaScriptError, match=r"needs peerjs 1\.5 or newer"):
        async with open_web(browser, site, folder=folder):
            pass


@pytest.fixture
async def web(browser: Browser, site: str) -> AsyncIterator[Web]:
    async with open_web(browser, site) as web:
        yield web


# --- requests --------------------------------------------------------------------------------


async def test_a_request_and_what_the_server_sees(web: Web) -> None:
    seen = await web.run("""() => http.json("http://device/echo/%C3%A9?a=%20b#part", {
        method: "PATCH", body: "text é", headers: { "X-One": "1", "Cookie": "a=b" },
    })""")
    headers = dict(seen["headers"])
    assert (seen["method"], seen["path"], seen["query"]) == ("PATCH", "/echo/%C3%A9", "a=%20b")
    assert seen["body"].encode("latin-1").decode() == "text é"
    assert headers == {
        "host": "peer.invalid",
        "accept": "*/*",
        "content-length": "7",
        "content-type": "text/plain;charset=UTF-8",
        "x-one": "1",
    }


BODIES: Final = {
    "new ArrayBuffer(3)": ("\0\0\0", None),
    "new Uint8Array([0, 1, 255, 2]).subarray(1, 3)": ("\x01\xff", None),
    "new Blob(['blob'], { type: 'x/y' })": ("blob", "x/y"),
    "new URLSearchParams({ a: '1 2' })": (
        "a=1+2",
        "application/x-www-form-urlencoded;charset=UTF-8",
    ),
    "new Blob(['stream']).stream()": ("stream", None),
    "''": ("", "text/plain;charset=UTF-8"),
}


async def test_bodies_of_every_kind(web: Web) -> None:
    for body, (text, content_type) in BODIES.items():
        seen = await web.run(f'() => http.json("echo", {{ method: "POST", body: {body} }})')
        headers = dict(seen["headers"])
        assert seen["body"] == text, body
        assert headers.get("content-type") == content_type, body
        length = None if "stream" in body else str(len(text))
        assert headers.get("content-length") == length, body

    seen = await web.run("""() => {
        const form = new FormData();
        form.append("name", "value");
        form.append("file", new File(["content"], "a.txt", { type: "text/x" }));
        return http.json("/echo", { method: "POST", body: form });
    }""")
    boundary = dict(seen["headers"])["content-type"].partition("multipart/form-data; boundary=")[2]
    assert seen["body"].count(boundary) == 3
    assert 'name="file"; filename="a.txt"\r\nContent-Type: text/x\r\n\r\ncontent' in seen["body"]

    seen = await web.run("""() => http.json(
        new Request("/echo?q", { method: "PUT", body: "one", headers: { "x-a": "b" } }),
        { headers: { "x-c": "d" } },
    )""")
    assert (seen["method"], seen["query"], seen["body"]) == ("PUT", "q", "one")
    assert "x-a" not in dict(seen["headers"])


async def test_responses(web: Web) -> None:
    function = """async (path, init) => {
        const response = await http.fetch(path, init);
        const { status, ok, url, redirected, body } = response;
        const headers = Object.fromEntries(response.headers);
        return { status, ok, url, redirected, headers, body: body && await response.text() };
    }"""
    got = await web.run(function, "/status?code=404", {})
    assert got == {
        "status": 404,
        "ok": False,
        "url": "http://peer.invalid/status?code=404",
        "redirected": False,
        "headers": {"x-latin": "é"},  # and no cookie
        "body": "status 404",
    }
    for code in (204, 205, 304):
        got = await web.run(function, f"/status?code={code}", {})
        assert (got["status"], got["body"]) == (code, None)
    got = await web.run(function, "/number?n=5", {"method": "HEAD"})
    assert (got["status"], got["headers"], got["body"]) == (200, {"x-number": "5"}, None)
    got = await web.run(function, "/status?code=500", {})
    assert (got["status"], got["ok"], got["body"]) == (500, False, "status 500")


async def test_200_at_once(web: Web) -> None:
    numbers = await web.run("""() => Promise.all(Array.from({ length: 200 }, async (_, n) => {
        const response = await http.fetch(`/number?n=${n}`);
        return [response.headers.get("x-number"), await response.text()];
    }))""")
    assert numbers == [[str(n), str(n)] for n in range(200)]
    assert web.app.begun["/number"] == 200


async def test_redirects(web: Web) -> None:
    function = """async (path, init) => {
        const { url, redirected, status, ...rest } = await http.fetch(path, init);
        return [url, redirected, status];
    }"""
    final = ["http://peer.invalid/number?n=1", True, 200]
    assert await web.run(function, "/redirect?to=number%3Fn%3D1", {}) == final
    assert await web.run(function, "/redirect?to=http://peer.invalid/number%3Fn%3D1", {}) == final
    here = ["http://peer.invalid/redirect?to=/x", False, 302]
    assert await web.run(function, "/redirect?to=/x", {"redirect": "manual"}) == here

    ask = """(code, body) => http.json(`/redirect?to=/echo&code=${code}`, {
        method: "POST", body: body === "stream" ? new Blob(["s"]).stream() : body,
    })"""
    seen = await web.run(ask, 303, "text")
    assert (seen["method"], seen["body"]) == ("GET", "")
    assert "content-type" not in dict(seen["headers"])
    assert (await web.run(ask, 303, "stream"))["method"] == "GET"
    seen = await web.run(ask, 307, "text")
    assert (seen["method"], seen["body"]) == ("POST", "text")

    fail = "(path, init) => http.failure(http.fetch(path, init))"
    for path, init in (
        ("/redirect?to=/x", {"redirect": "error"}),
        ("/redirect?to=http://example.com/", {}),
        ("/redirect?to=/redirect?to=" * 22, {}),
        ("/redirect?to=javascript:1", {}),
    ):
        failure = await web.run(fail, path, init)
        assert (failure["name"], failure["code"]) == ("TypeError", "REDIRECT"), path
    stream = f"() => http.failure(({ask})(307, 'stream'))"
    assert (await web.run(stream))["code"] == "REDIRECT"


async def test_what_is_no_request(web: Web) -> None:
    """Refused before anything is sent, as fetch does it."""
    for asked in (
        '"/", { method: "CONNECT" }',
        '"/", { body: "with GET" }',
        '"/", { method: "no token" }',
        '"data:,x"',
        '"http://["',
        '"/", { headers: { "x": "a\\nb" } }',
    ):
        failure = await web.run(f"() => http.failure(http.fetch({asked}))")
        assert failure["name"] == "TypeError", asked
    long = "() => http.failure(http.fetch('/' + 'x'.repeat(33000)))"
    assert (await web.run(long))["code"] == "TOO_LARGE"
    assert not web.app.begun


# --- large bodies ----------------------------------------------------------------------------


async def test_a_download_in_bounded_memory(web: Web) -> None:
    """While the page does not read, the server hands out a window and no more."""
    first = await web.run(
        """async (size) => {
        http.reader = (await http.fetch(`/download?size=${size}`)).body.getReader();
        return (await http.reader.read()).value.length;
    }""",
        MANY,
    )
    with trio.fail_after(10):
        while web.app.handed_out < WINDOW - 2 * PIECE:
            await web.run('() => http.json("/number?n=1")')
    for _ in range(20):  # it has had the time to hand out more
        await web.run('() => http.json("/number?n=1")')
        # One window in the page, and the piece that the server has taken last.
        assert web.app.handed_out <= first + WINDOW + PIECE

    rest = await web.run("""async () => {
        let size = 0;
        for (;;) {
            const { done, value } = await http.reader.read();
            if (done) return size;
            size += value.length;
        }
    }""")
    assert first + rest == MANY == web.app.handed_out


async def test_an_upload_in_bounded_memory(web: Web) -> None:
    """While the server's application does not read, the page's stream is asked for a window."""
    async with trio.open_nursery() as nursery:
        outcome: list[Any] = []

        async def upload() -> None:
            outcome.extend(
                await web.run(
                    """async (size, piece) => {
                http.asked = 0;
                const body = new ReadableStream({
                    pull(controller) {
                        const chunk = new Uint8Array(Math.min(piece, size - http.asked));
                        http.asked += chunk.length;
                        controller.enqueue(chunk);
                        if (http.asked === size) controller.close();
                    },
                });
                const init = { method: "POST", body, duplex: "half" };
                return http.json("/upload?wait=1", init);
            }""",
                    MANY,
                    PIECE,
                )
            )

        nursery.start_soon(upload)
        await web.wait_for("begun /upload")
        with trio.fail_after(10):
            while await web.run("() => http.asked") < WINDOW:
                pass
        for _ in range(20):
            await web.run('() => http.json("/number?n=1")')
            asked = await web.run("() => http.asked")
            # A chunk is in hand, and the stream itself holds one.
            assert asked <= web.app.taken + WINDOW + 2 * PIECE
        web.allow("go /upload")
    assert outcome[0] == MANY == web.app.taken
    assert outcome[2] == ""
    assert 0 < await web.run("() => http.most") <= ROOM


async def test_a_blob_arrives_as_it_is(web: Web) -> None:
    taken, digest, length, ours = await web.run(
        """async (size) => {
        const bytes = new Uint8Array(size).map((_, n) => n * n);
        const init = { method: "POST", body: new Blob([bytes]) };
        return [...await http.json("/upload", init), await http.sha256(bytes)];
    }""",
        1_000_003,
    )
    assert (taken, length, digest) == (1_000_003, "1000003", ours)


async def test_a_response_that_does_not_wait_for_the_body(web: Web) -> None:
    """DONE ends the upload, whose stream hears of it."""
    status, text, cancelled = await web.run("""async () => {
        const { promise, resolve } = Promise.withResolvers();
        const body = new ReadableStream({
            pull: (controller) => controller.enqueue(new Uint8Array(65536)),
            cancel: () => resolve(true),
        });
        const response = await http.fetch("/early", { method: "POST", body, duplex: "half" });
        return [response.status, await response.text(), await promise];
    }""")
    assert (status, text, cancelled) == (413, "too much", True)


# --- giving up -------------------------------------------------------------------------------


async def test_abort_at_every_stage(web: Web) -> None:
    before = """async () => [
        await http.failure(http.fetch("/hang", { signal: AbortSignal.abort() })),
        await http.failure(http.fetch("/hang", { signal: AbortSignal.abort(new Error("why")) })),
    ]"""
    usual, own = await web.run(before)
    assert (usual["name"], own["message"]) == ("AbortError", "why")
    assert not web.app.begun

    # Before the head: the server's application has begun.
    await web.run("""() => {
        http.giveUp = new AbortController();
        http.outcome = http.failure(http.fetch("/hang/1", { signal: http.giveUp.signal }));
    }""")
    await web.wait_for("begun /hang/1")
    outcome = await web.run("() => (http.giveUp.abort(), http.outcome)")
    assert outcome["name"] == "AbortError"
    await web.wait_for("over /hang/1")

    # In the middle of the response's body.
    outcome = await web.run("""async () => {
        const giveUp = new AbortController();
        const asked = new Request("/hang/2?after=part", { signal: giveUp.signal });
        const reader = (await http.fetch(asked)).body.getReader();
        await reader.read();
        const waiting = http.failure(reader.read());
        giveUp.abort(new DOMException("enough", "AbortError"));
        return waiting;
    }""")
    assert (outcome["name"], outcome["message"]) == ("AbortError", "enough")
    await web.wait_for("over /hang/2")

    # The same, where the browser reads the body.
    outcome = await web.run("""async () => {
        const giveUp = new AbortController();
        const response = await http.fetch("/hang/5?after=part", { signal: giveUp.signal });
        const waiting = http.failure(response.clone().json());
        giveUp.abort();
        return [await waiting, await http.failure(response.text())];
    }""")
    assert [failure["name"] for failure in outcome] == ["AbortError", "AbortError"]
    await web.wait_for("over /hang/5")

    # In the middle of the request's body: the page's stream hears of it too.
    outcome, cancelled = await web.run("""async () => {
        const giveUp = new AbortController();
        const { promise, resolve } = Promise.withResolvers();
        const body = new ReadableStream({
            pull(controller) {
                controller.enqueue(new Uint8Array(65536));
                if (++this.count > 20) giveUp.abort();
            },
            count: 0,
            cancel: () => resolve(true),
        });
        const init = { method: "POST", body, duplex: "half", signal: giveUp.signal };
        return [await http.failure(http.fetch("/upload", init)), await promise];
    }""")
    assert (outcome["name"], cancelled) == ("AbortError", True)
    await web.wait_for("over /upload")

    # By the reader, and by what was forgotten.
    await web.run('async () => (await http.fetch("/hang/3?after=x")).body.cancel()')
    await web.wait_for("over /hang/3")
    await web.run('async () => void await http.fetch("/hang/4?after=x")')
    await web.page.collect_garbage()
    await web.wait_for("over /hang/4")


async def test_abort_while_waiting_for_a_place(web: Web) -> None:
    outcome = await web.run("""async () => {
        const giveUp = new AbortController();
        const hanging = Array.from({ length: 99 }, (_, n) => http.fetch(`/hang/${n}?after=x`));
        http.hundred = await Promise.all([http.fetch("/sse?count=1"), ...hanging]);
        http.late = http.json("/number?n=1");
        const outcome = http.failure(http.fetch("/number?n=2", { signal: giveUp.signal }));
        giveUp.abort();
        return (await outcome).name;
    }""")
    assert outcome == "AbortError"
    assert web.app.begun["/number"] == 0
    web.allow("seen 0")
    assert await web.run("() => http.late") == 1
    assert web.app.begun["/number"] == 1


async def test_the_body_of_a_request_breaks_off(web: Web) -> None:
    failure = await web.run("""() => {
        const body = new ReadableStream({ start: (c) => c.error(new Error("disk")) });
        return http.failure(http.fetch("/upload", { method: "POST", body, duplex: "half" }));
    }""")
    assert (failure["name"], failure["code"]) == ("TypeError", "BODY")
    assert "disk" in failure["message"]
    texts = """() => {
        const body = new Blob(["x"]).stream().pipeThrough(new TextDecoderStream());
        return http.failure(http.fetch("/upload", { method: "POST", body, duplex: "half" }));
    }"""
    assert "no Uint8Array" in (await web.run(texts))["message"]


# --- as they come ----------------------------------------------------------------------------


async def test_server_sent_events_are_live(web: Web) -> None:
    """Each is sent when the page has had the one before."""
    await web.run("""async () => {
        http.ticks = http.events(await http.fetch("/sse?count=3"));
    }""")
    for n in range(3):
        told = await web.run("() => http.ticks.next()")
        event = {"event": "tick", "data": f"{n}\né", "id": str(n)}
        assert told == {"done": False, "value": event}
        web.allow(f"seen {n}")
    last = {"event": "message", "data": "last", "id": "2"}
    assert await web.run("() => http.ticks.next()") == {"done": False, "value": last}
    assert (await web.run("() => http.ticks.next()"))["done"]


# --- what goes wrong -------------------------------------------------------------------------


async def test_the_server_breaks_off(web: Web) -> None:
    failure = await web.run("""async () => {
        const response = await http.fetch("/breaks");
        return http.failure(response.text());
    }""")
    assert (failure["name"], failure["code"]) == ("TypeError", "FAILED")
    assert failure["reason"] == "the response broke off"


async def test_the_connection_is_lost(web: Web) -> None:
    """What had come is read, then the error; what is asked afterwards fails at once."""
    part = await web.run("""async () => {
        http.reader = (await http.fetch("/hang?after=part")).body.getReader();
        http.waiting = http.failure(http.fetch("/hang"));
        return new TextDecoder().decode((await http.reader.read()).value);
    }""")
    assert part == "part"
    web.serving.cancel()
    failures = await web.run("""async () => {
        const failures = [await http.waiting, await http.failure(http.reader.read())];
        return [...failures, await http.failure(http.fetch("/")), await http.fetch.closed];
    }""")
    assert {failure["code"] for failure in failures} <= {"LOST", "CANCELLED", "CLOSING", "FAILED"}
    assert all(failure["name"] == "TypeError" for failure in failures[:3])


async def test_the_page_closes(web: Web) -> None:
    closed, failure, late = await web.run("""async () => {
        const waiting = http.failure(http.fetch("/hang"));
        const closed = http.fetch.close();
        return [await closed, await waiting, await http.failure(http.fetch("/"))];
    }""")
    assert closed["code"] == failure["code"] == late["code"] == "CLOSED"
