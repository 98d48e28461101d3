"""What an engine tells of one RTCPeerConnection, as inputs of the core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import anyio

from .connection import DataConnection
from .driver import Driver
from .rtc.engine import Frame

__all__ = ["Sink"]


class Sink:
    """The :class:`~peerjs_trio.rtc.engine.RtcSink` of one connection."""

    def __init__(self, driver: Driver, number: int, connection: DataConnection) -> None:
        self._driver = driver
        self._number = number
        self._connection = connection

    def offer_made(self, sdp: str) -> None:
        self._connection._described(local=sdp)
        with self._driver.turn() as core:
            core.offer_made(self._number, sdp)

    def answer_made(self, sdp: str) -> None:
        self._connection._described(local=sdp)
        with self._driver.turn() as core:
            core.answer_made(self._number, sdp)

    def candidate_found(self, candidate: Mapping[str, Any]) -> None:
        with self._driver.turn() as core:
            core.candidate_found(self._number, candidate)

    def channel_opened(self, max_message_size: int) -> None:
        with self._driver.turn() as core:
            core.channel_opened(self._number, max_message_size)

    def frames_received(self, frames: Sequence[Frame]) -> None:
        with self._driver.turn() as core:
            now = anyio.current_time()
            for frame in frames:
                core.receive_frame(self._number, frame, now)

    def room_made(self) -> None:
        self._connection._pump()

    def channel_closed(self) -> None:
        with self._driver.turn() as core:
            core.channel_closed(self._number)

    def failed(self, reason: str) -> None:
        with self._driver.turn() as core:
            core.rtc_failed(self._number, reason)
