"""HTTP as ambianic's pages speak it, the device's side, without I/O.

One request at a time over a data connection with the label ``http-proxy``: the rules are at the end
of docs/http-over-webrtc.md.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import attrs

from . import jsontext
from .errors import LocalProtocolError
from .http_proxy_request import TEXT_TYPE, Ping, ProxyRefusal, ProxyRequest, Scope, read_request
from .sdp import LARGEST_MESSAGE

__all__ = ["DEFAULT_PROXY_LIMITS", "PROXY_LABEL", "HttpProxyProtocol", "ProxyLimits"]

PROXY_LABEL: Final = "http-proxy"
"Of the data connections that carry this protocol: ``raw`` and reliable."


@attrs.frozen(kw_only=True)
class ProxyLimits:
    """What one page can make us hold. Sizes in bytes, times in seconds."""

    request_bytes: int = LARGEST_MESSAGE
    "One request, as it comes. More is answered with 413."
    response_bytes: int = LARGEST_MESSAGE
    "The body of one response, which is one message of WebRTC. More becomes a 502."
    waiting: int = 16
    "Messages that wait for their turn. More are answered with 503. Pages send one at a time."
    nesting: int = 64
    "Depth of lists and maps in a request."
    busy_interval: float = 1.0
    "Between two messages that say that a request is still under way; the original's."


DEFAULT_PROXY_LIMITS: Final = ProxyLimits()
"""What applies where nothing else is said."""


class HttpProxyProtocol:
    """Give it what the page sends, carry out the requests, and send what it says.

    In: :meth:`receive_frame`, :meth:`respond`, :meth:`refuse`, :meth:`handle_timeout`. Out:
    :meth:`next_frame` and :meth:`next_request`, each until None, and :meth:`next_timeout`. Time is
    in seconds on any one monotonic clock. What the page does wrong never raises: it is answered.
    """

    def __init__(
        self, limits: ProxyLimits = DEFAULT_PROXY_LIMITS, *, base_url: str | None = None
    ) -> None:
        """
        Args:
            base_url: what the paths of requests are relative to, for pages that ask for whole URLs:
                those must be inside it. None: they must name this machine.

        Raises:
            LocalProtocolError: for a base URL that is none.
        """
        self._limits = limits
        self._scope = Scope(base_url)
        try:
            self._scope.path_of(base_url or "http://localhost/")
        except ProxyRefusal as refusal:
            raise LocalProtocolError(f"the base URL: {refusal}") from None
        self._waiting: deque[str | bytes | _Excess] = deque()
        self._held = 0
        "Messages among those that wait."
        self._next: ProxyRequest | None = None
        "It has its turn, and nobody has begun it."
        self._under_way = False
        self._busy_at = 0.0
        self._busy = False
        "Whether the page should be told that its request is still under way."
        self._reply: deque[str | bytes] = deque()

    # --- in -----------------------------------------------------------------------------------

    def receive_frame(self, frame: str | bytes) -> None:
        """One message of the page's."""
        if self._held >= self._limits.waiting:
            self._put_excess(503, "too many requests wait; send one when the last is answered")
        elif len(frame) > self._limits.request_bytes:
            self._put_excess(413, f"a request has at most {self._limits.request_bytes:,} bytes")
        else:
            self._held += 1
            self._waiting.append(frame)

    def respond(self, status: int, content_type: str, body: bytes) -> None:
        """The answer to the request that is under way.

        A body beyond ``response_bytes``, or as much of one as shows that, makes it a 502: it cannot
        be sent. Raises LocalProtocolError where no request is under way, and for a status that no
        response has.
        """
        if not self._under_way:
            raise LocalProtocolError("no request is under way")
        if not 200 <= status <= 599:
            raise LocalProtocolError("the status of a response is 200 to 599")
        self._under_way = self._busy = False
        if len(body) > self._limits.response_bytes:
            self._answer_refusal(502, _TOO_LARGE.format(self._limits.response_bytes))
        else:
            # To a page 202 means that the answer is still to come.
            self._answer(200 if status == 202 else status, content_type, body)

    def refuse(self, status: int, text: str) -> None:
        """Answer the request that is under way with an error and a text for people."""
        self.respond(status, TEXT_TYPE, text.encode())

    def handle_timeout(self, now: float) -> None:
        """To be called when :meth:`next_timeout` is due; earlier does nothing."""
        if self._under_way and now >= self._busy_at:
            self._busy_at = now + self._limits.busy_interval
            self._busy = True

    # --- out ----------------------------------------------------------------------------------

    def next_frame(self) -> str | bytes | None:
        """The next message to send: text, but for bodies. None: there is none for now."""
        if self._busy:
            self._busy = False
            return _BUSY
        self._take_turns()
        return self._reply.popleft() if self._reply else None

    def next_request(self, now: float) -> ProxyRequest | None:
        """The next request to carry out; it is under way until :meth:`respond`.

        None while another is, or while an answer is not sent: nobody makes us work whom we cannot
        tell what came of it.
        """
        self._take_turns()
        request, self._next = self._next, None
        if request is not None:
            self._under_way = True
            self._busy_at = now + self._limits.busy_interval
        return request

    def next_timeout(self) -> float | None:
        """When :meth:`handle_timeout` is due; None while no request is under way."""
        return self._busy_at if self._under_way else None

    # --- inside -------------------------------------------------------------------------------

    def _put_excess(self, status: int, text: str) -> None:
        """Nothing is kept of it but its place in the order."""
        last = self._waiting[-1] if self._waiting else None
        if isinstance(last, _Excess) and last.status == status:
            last.count += 1
        else:
            self._waiting.append(_Excess(status, text))

    def _take_turns(self) -> None:
        """Answer what waits, in order, up to one request that somebody has to carry out."""
        while self._waiting and not (self._reply or self._under_way or self._next):
            first = self._waiting[0]
            if isinstance(first, _Excess):
                first.count -= 1
                if not first.count:
                    self._waiting.popleft()
                self._answer_refusal(first.status, first.text)
                continue
            self._waiting.popleft()
            self._held -= 1
            try:
                request = read_request(first, self._scope, max_depth=self._limits.nesting)
            except ProxyRefusal as refusal:
                self._answer_refusal(refusal.status, str(refusal))
                continue
            if isinstance(request, Ping):
                self._reply += (_PONG_HEADER, _PONG)
            else:
                self._next = request

    def _answer_refusal(self, status: int, text: str) -> None:
        self._answer(status, TEXT_TYPE, text.encode())

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        header = {"status": status, "content-type": content_type, "content-length": len(body)}
        self._reply.append(jsontext.dumps(header))
        # Of all others pages wait for the body, be it empty: after HEAD and 304 as well.
        if status != 204:
            self._reply.append(body)


@attrs.define
class _Excess:
    """Messages that came one after the other and get the same answer."""

    status: int
    text: str
    count: int = 1


_BUSY: Final = '{"status":202}'
_PONG_HEADER: Final = '{"status":200}'
_PONG: Final = "pong"
_TOO_LARGE: Final = (
    "the response has more than {:,} bytes, which is all that this protocol can carry; "
    "the protocol peerjs-http of peerjs-sansio carries any size (docs/http-over-webrtc.md)"
)
