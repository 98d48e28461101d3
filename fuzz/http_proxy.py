"""Ambianic's HTTP: messages of a page, what the device answers, and what the clock does between.

An input is lines: ``!`` and choices is what the device and the clock do; any other is a message of
the page's, as bytes where it begins with FF.
"""

from __future__ import annotations

from typing import Any, Final

from peerjs_proto import jsontext
from peerjs_proto.http_proxy import HttpProxyProtocol, ProxyLimits

from .choices import Choices

INVARIANT: Final = (
    "Whatever a page sends, nothing is raised, each message has one answer, in order and with a "
    "body unless its status is 204, and no more is held than ProxyLimits allow."
)

LIMITS: Final = ProxyLimits(waiting=3, request_bytes=2000, response_bytes=300, nesting=8)


def check(data: bytes) -> None:
    page = _Page(HttpProxyProtocol(LIMITS, base_url="http://127.0.0.1:8778/api/"))
    for line in data.split(b"\n"):
        if line.startswith(b"!"):
            page.go_on(Choices(line[1:]))
        elif line.startswith(b"\xff"):
            page.send(line[1:])
        else:
            page.send(line.decode("utf-8", "surrogateescape"))
        assert len(page.proxy._waiting) <= 3 * LIMITS.waiting + 2
    page.finish()


class _Page:
    """Reads as peer-fetch does, and answers for the device."""

    def __init__(self, proxy: HttpProxyProtocol) -> None:
        self.proxy = proxy
        self._now = 0.0
        self._unanswered = 0
        self._is_under_way = False
        self._body_due = False

    def send(self, frame: str | bytes) -> None:
        self.proxy.receive_frame(frame)
        self._unanswered += 1

    def go_on(self, choices: Choices) -> None:
        while choices:
            match choices.below(4):
                case 0:
                    self._read(1 + choices.below(4))
                case 1:
                    self._begin()
                case 2 if self._is_under_way:
                    self._is_under_way = False
                    body = bytes(choices.below(400))
                    self.proxy.respond(200 + choices.below(400), choices.text(), body)
                case _:
                    self._now += choices.one_of((0.0, 0.5, 1.0, 60.0))
                    self.proxy.handle_timeout(self._now)
                    assert (self.proxy.next_timeout() is not None) == self._is_under_way

    def finish(self) -> None:
        for _ in range(self._unanswered + 1):
            self._read(None)
            self._begin()
            if self._is_under_way:
                self._is_under_way = False
                self.proxy.refuse(502, "gone")
        assert not self._unanswered, "every message has its answer"

    def _begin(self) -> None:
        request = self.proxy.next_request(self._now)
        if request is not None:
            assert not self._is_under_way, "one at a time"
            assert request.head.path.startswith("/")
            self._is_under_way = True

    def _read(self, most: int | None) -> None:
        while most != 0 and (frame := self.proxy.next_frame()) is not None:
            most = None if most is None else most - 1
            if self._body_due:
                self._body_due = False
                continue
            header: dict[str, Any] = jsontext.loads(frame, max_depth=2)
            if header["status"] == 202:
                assert self._is_under_way
                continue
            assert not self._is_under_way, "no answer overtakes another"
            self._unanswered -= 1
            self._body_due = header["status"] != 204
