"""Two connected ends in one process or two, and what can be measured between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from bench.rtc.via import only_via
from bench.rtc.worker import Worker, run_worker

__all__ = ["Pair", "Pings", "Transfer", "run_pair"]

Via = tuple[tuple[str, int], tuple[str, int]]
"""Two addresses of a relay."""


class Transfer(NamedTuple):
    """Values that have crossed."""

    mib: float
    seconds: float
    "From the first call to the last value."
    cpu: float
    "Seconds of all threads of all processes."

    @property
    def speed(self) -> float:
        """MiB a second."""
        return self.mib / self.seconds

    @property
    def cost(self) -> float:
        """Seconds of CPU a MiB."""
        return self.cpu / self.mib


class Pings(NamedTuple):
    """Round trips, one after the other."""

    seconds: list[float]
    "Of each."
    cpu: float
    "Seconds of all threads of all processes, for all of them."


class Pair:
    """Made by :func:`run_pair`. ``line`` names one of its connections."""

    def __init__(self, here: Worker, there: Worker) -> None:
        self._here = here
        self._there = there
        self._workers = [here] if here is there else [here, there]

    def transfer(self, line: str, size: int, count: int) -> Transfer:
        """So many values of so many bytes, from here to there."""
        receive = self._there.begin("receive", f"b {line}", count)
        before = self._cpu()  # and with its answer we know that the other end is ready
        began = self._here.ask("send", f"a {line}", size, count)
        ended = receive()
        return Transfer(size * count / 2**20, ended - began, self._cpu() - before)

    def ping(self, line: str, size: int, count: int, *, job: str = "echo") -> Pings:
        """So many round trips of so many bytes, from here; ``job`` is what there does."""
        echo = self._there.begin(job, f"b {line}", count)
        before = self._cpu()
        seconds = self._here.ask("ping", f"a {line}", size, count)
        echo()
        return Pings(seconds, self._cpu() - before)

    def _cpu(self) -> float:
        seconds: float = sum(worker.ask("cpu") for worker in self._workers)
        return seconds


@contextmanager
def run_pair(
    engine: str,
    form: str | None,
    processes: int,
    lines: Sequence[str] = ("bare",),
    *,
    via: Via | None = None,
) -> Iterator[Pair]:
    """Two ends in one process or two, as long as the block lasts.

    ``form`` is our guest loop's, and ``lines`` the serializations to connect by. Without a
    form it is the bare engine, which has one line, ``"bare"``. ``via``: where here finds there,
    and there finds here, and nowhere else; such a pair can have one line.
    """
    arguments = ["bare", engine] if form is None else ["ours", engine, form]
    with ExitStack() as stack:
        here = stack.enter_context(run_worker(*arguments))
        there = here if processes == 1 else stack.enter_context(run_worker(*arguments))
        if form is None:
            _connect_bare(here, there, via)
        else:
            _connect_ours(here, there, lines, via)
        yield Pair(here, there)


def _connect_bare(here: Worker, there: Worker, via: Via | None) -> None:
    offer = here.ask("offer", "a bare")
    answer = there.ask("answer", "b bare", only_via(offer, via[1]) if via else offer)
    here.ask("accept", "a bare", only_via(answer, via[0]) if via else answer)
    here.ask("opened", "a bare")
    there.ask("opened", "b bare")


def _connect_ours(
    here: Worker, there: Worker, serializations: Sequence[str], via: Via | None
) -> None:
    url = here.ask("serve")
    here_via, there_via = via or ((), ())
    here.ask("join", "a", url, *here_via)
    there.ask("join", "b", url, *there_via)
    for serialization in serializations:
        accepted = there.begin("accept", "b")
        here.ask("dial", "a", "b", serialization)
        accepted()
