"""Exchange: one request of httpx on its way, and the body of its response."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from typing import Final

import anyio
import anyio.abc
import httpx

from peerjs_proto.errors import PeerError
from peerjs_proto.http_io import ResetCode, ResponseHead
from peerjs_trio.http.faults import Timeouts, request_error
from peerjs_trio.http.stream import Stream

__all__ = ["Body", "Exchange"]

Body = bytes | AsyncIterable[bytes]

_PART: Final = 65_536
"Bytes sent at once: what the write timeout is for."


class Exchange(httpx.AsyncByteStream):
    """A request, from its head on. Iterating gives the response's body; closing ends both."""

    def __init__(self, stream: Stream, timeouts: Timeouts, ended: Callable[[], None]) -> None:
        self._stream = stream
        self._timeouts = timeouts
        self._ended = ended
        self._patience = anyio.CancelScope()
        "Of who waits for the response's head."
        self._upload = anyio.CancelScope()
        self._sending = False
        self._failure: Exception | None = None
        "What has ended it from this side."
        self.began_body = False
        "Whether anything was taken of the request's body."

    async def ask(self, body: Body, tasks: anyio.abc.TaskGroup) -> ResponseHead:
        """Send the body, if there is one, and wait for the response's head.

        A server may respond before the body has ended; the rest of that goes out meanwhile.

        Args:
            tasks: Where the body is sent, for as long as that takes.

        Raises httpx.TransportError, and what the body raises.
        """
        try:
            if body == b"":
                self._start_reading()
            else:
                self._sending = True
                tasks.start_soon(self._send, body)
            with self._patience:
                return await self._stream.response()
        except PeerError as error:
            raise self._error(error) from error
        except BaseException:
            self.end()
            raise
        # Only its deadline cancels the scope.
        self.end(ResetCode.TIMEOUT)
        raise httpx.ReadTimeout("there was no response in time")

    def __aiter__(self) -> Exchange:
        return self

    async def __anext__(self) -> bytes:
        # No generator: one that is left in the middle has to be closed.
        part: bytes | None = None
        try:
            with anyio.move_on_after(self._timeouts.read):
                part = await self._stream.receive()
        except PeerError as error:
            raise self._error(error) from error
        if part is None:
            self.end(ResetCode.TIMEOUT)
            raise httpx.ReadTimeout("the response did not go on in time")
        if not part:
            raise StopAsyncIteration
        return part

    async def aclose(self) -> None:
        """Give up what is not read yet, and what is not sent."""
        self.end()

    def end(self, code: ResetCode = ResetCode.CANCELLED) -> None:
        """The same without waiting; what has ended already stays as it is."""
        self._upload.cancel()
        self._stream.reset(code)
        self._ended()

    # --- inside ---------------------------------------------------------------------------

    async def _send(self, body: Body) -> None:
        """Runs beside whoever reads, and so keeps what goes wrong for him."""
        with self._upload:
            try:
                sent = await (
                    self._send_bytes(body) if isinstance(body, bytes) else self._send_parts(body)
                )
            except Exception as error:
                self._failure = error
                self._stream.reset()
            else:
                self._sending = not sent
                self._start_reading()

    async def _send_bytes(self, body: bytes) -> bool:
        """Whether all of it is out, or not needed any more; so with the other two."""
        for start in range(0, len(body), _PART):
            end = start + _PART
            if not await self._send_part(body[start:end], end=end >= len(body)):
                return False
        return True

    async def _send_parts(self, body: AsyncIterable[bytes]) -> bool:
        self.began_body = True
        iterator = aiter(body)
        try:
            async for whole in iterator:
                for start in range(0, len(whole), _PART):
                    if not await self._send_part(whole[start : start + _PART]):
                        return False
                if not self._stream.body_needed:
                    return True
            return await self._send_part(b"", end=True)
        finally:
            if isinstance(iterator, AsyncGenerator):
                await iterator.aclose()

    async def _send_part(self, part: bytes, *, end: bool = False) -> bool:
        with anyio.move_on_after(self._timeouts.write) as patience:
            try:
                await self._stream.send(part, end=end)
            except PeerError:
                return False  # whoever reads hears of it, too
        if patience.cancelled_caught:
            self._failure = httpx.WriteTimeout("the far side took nothing in time")
            self._stream.reset(ResetCode.TIMEOUT)
        return not patience.cancelled_caught

    def _start_reading(self) -> None:
        """From now on it is the far side's turn."""
        if self._timeouts.read < math.inf:
            self._patience.deadline = anyio.current_time() + self._timeouts.read

    def _error(self, error: PeerError) -> Exception:
        sending = self._sending
        self.end()
        return self._failure or request_error(error, sending=sending)
