"""HttpProxyProtocol with a page that sends anything, at any time, and reads when it likes."""

from __future__ import annotations

import json
from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from peerjs_proto.http_proxy import HttpProxyProtocol, ProxyLimits
from peerjs_proto.http_proxy_request import ProxyRequest
from peerjs_proto.testing.values import values_of

LIMITS = ProxyLimits(waiting=3, request_bytes=200, response_bytes=100, nesting=5)
URLS = st.sampled_from(["/a", "ping?", "http://localhost/a", "http://elsewhere/", "//", "\n"])
REQUESTS = st.fixed_dictionaries(
    {"url": URLS | values_of("json")},
    optional={
        name: st.sampled_from(["GET", "PUT", None]) | values_of("json")
        for name in ("method", "json", "data", "headers")
    },
).map(json.dumps)
FRAMES = REQUESTS | REQUESTS.map(str.encode) | st.text() | st.binary(max_size=300)


class AnyOrder(RuleBasedStateMachine):
    """A model that knows one thing: each message has one answer, in its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.proxy = HttpProxyProtocol(LIMITS)
        self.now = 0.0
        self.unanswered = 0
        "Messages, the one under way among them."
        self.under_way: ProxyRequest | None = None
        self.body_due = False
        self.answers: deque[int] = deque()
        "Statuses of answers that were given and not yet read."
        self.busy_at = 0.0

    @rule(frame=FRAMES)
    def the_page_sends(self, frame: str | bytes) -> None:
        self.proxy.receive_frame(frame)
        self.unanswered += 1

    @rule()
    def a_request_begins(self) -> None:
        request = self.proxy.next_request(self.now)
        if request is not None:
            assert self.under_way is None
            assert not self.body_due
            assert not self.answers
            assert request.head.path.startswith("/")
            self.under_way, self.busy_at = request, self.now

    @precondition(lambda self: self.under_way)
    @rule(status=st.integers(200, 599), size=st.integers(0, 110))
    def it_is_answered(self, status: int, size: int) -> None:
        self.proxy.respond(status, "text/plain", bytes(size))
        self.under_way = None
        self.answers.append(502 if size > 100 else 200 if status == 202 else status)

    @rule(seconds=st.sampled_from([0.0, 0.4, 1.0, 7.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        due = self.proxy.next_timeout()
        assert (due is None) == (self.under_way is None)
        assert due is None or due > self.now - seconds, "never due again at once"
        self.proxy.handle_timeout(self.now)

    @rule(most=st.integers(1, 5))
    def the_page_reads(self, most: int) -> None:
        for _ in range(most):
            frame = self.proxy.next_frame()
            if frame is None:
                break
            self.read(frame)

    def read(self, frame: str | bytes) -> None:
        """As peer-fetch does: a header, its body, the next header."""
        if self.body_due:
            self.body_due = False
            return
        assert isinstance(frame, str)
        status = json.loads(frame)["status"]
        if status == 202:
            assert self.under_way is not None
            assert self.now >= self.busy_at + LIMITS.busy_interval
            self.busy_at = self.now
            return
        assert self.under_way is None, "no answer overtakes another"
        assert self.unanswered > 0
        self.unanswered -= 1
        self.body_due = status != 204
        if self.answers:
            assert status == self.answers.popleft()
        else:
            assert status in (200, 400, 413, 421, 503), "answered without an application"

    @invariant()
    def no_more_is_held_than_allowed(self) -> None:
        assert len(self.proxy._waiting) <= 3 * LIMITS.waiting + 2
        assert len(self.proxy._reply) <= 2

    def teardown(self) -> None:
        for _ in range(3 * self.unanswered + 3):
            while (frame := self.proxy.next_frame()) is not None:
                self.read(frame)
            self.a_request_begins()
            if self.under_way:
                self.it_is_answered(200, 0)
        assert self.unanswered == 0, "every message has its answer"
        assert self.proxy.next_timeout() is None


AnyOrder.TestCase.settings = settings(stateful_step_count=40)
TestAnyOrder = AnyOrder.TestCase
