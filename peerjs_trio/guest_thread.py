"""The guest loop in a thread of its own, which works everywhere."""

from __future__ import annotations

import asyncio
import threading

import sniffio
import trio

from peerjs_trio.guest_loop import GuestLoop

__all__ = ["ThreadedGuest"]


class ThreadedGuest(GuestLoop):
    """The loop runs in a thread; calls cross over in batches, one wake-up each."""

    def __init__(self, nursery: trio.Nursery) -> None:
        super().__init__(nursery, asyncio.new_event_loop())
        self._token = trio.lowlevel.current_trio_token()
        self._thread_ended = trio.Event()

    @trio.lowlevel.enable_ki_protection
    async def _drive(self) -> None:
        thread = threading.Thread(target=self._run_loop, name="peerjs_trio guest loop")
        thread.start()
        with trio.CancelScope(shield=True):
            await self._thread_ended.wait()
        thread.join()  # it has nothing left to do
        self._run_host_calls()

    def _run_loop(self) -> None:
        sniffio.thread_local.name = "asyncio"
        while not self._ended:
            try:
                self.loop.run_forever()
            except BaseException as error:
                self._token.run_sync_soon(self._crash, error)
        self.loop.close()
        self._token.run_sync_soon(self._thread_ended.set)

    def _announce_calls(self) -> None:
        self.loop.call_soon_threadsafe(self._run_calls)

    def _announce_host_calls(self) -> None:
        self._token.run_sync_soon(self._run_host_calls)
