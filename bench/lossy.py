"""A path of 20 ms there and back, without loss and with 1 %."""

from __future__ import annotations

from statistics import median
from typing import Final, NamedTuple

from bench.engines import EngineName, engines
from bench.relay import relaying
from bench.rtc.pair import run_pair
from bench.table import Table

__all__ = ["measure"]

_DELAY: Final = 0.010
"Seconds each way."
_LOSSES: Final = (0.0, 0.01)
_MIB: Final = 1 << 20
_MESSAGE: Final = 16 << 10
_SIZES: Final = {0.0: 8 * _MIB, 0.01: _MIB}
"Bytes by loss, so that a transfer takes seconds."
_PINGS: Final = 50


class Sample(NamedTuple):
    speed: float
    "MiB/s"
    ping: float
    "p50 in ms"
    delivered: int
    "Messages."
    dropped: float
    "% of the packets."


Variant = tuple[EngineName, str | None, float]
"""Engine, form of our guest loop or None for the bare one, loss."""


def measure(rounds: int, *, quick: bool = False) -> Table:
    variants: list[Variant] = [
        (engine, form, loss)
        for loss in _LOSSES
        for engine in engines()
        for form in (None, "stepped")
    ]
    taken: dict[Variant, list[Sample]] = {each: [] for each in variants}
    for seed in range(rounds):
        for engine, form, loss in variants:
            size = _SIZES[loss] // (8 if quick else 1)
            taken[engine, form, loss].append(_sample(engine, form, loss, size, seed))
    rows: list[list[str | float]] = []
    for (engine, form, loss), samples in taken.items():
        speed, ping, _, dropped = (median(column) for column in zip(*samples, strict=True))
        bare = median(sample.speed for sample in taken[engine, None, loss])
        messages = sum(sample.delivered for sample in samples)
        end = "bare" if form is None else "ours"
        row = [f"{engine}, {end}, {loss:.0%}", speed, speed / bare, ping, messages, dropped]
        rows.append(row)
    return Table(
        f"{2000 * _DELAY:.0f} ms there and back, through a UDP relay of ours",
        ["engine, loss", "MiB/s", "ratio", "ping p50, ms", "delivered", "% dropped"],
        rows,
        "Two processes, raw messages of 16 KiB, reliable and in order. delivered: messages of all\n"
        f"{rounds} rounds; one too few, and the transfer would not end. dropped: packets at the\n"
        "relay, of either way. ratio: to the bare engine.",
    )


def _sample(engine: str, form: str | None, loss: float, size: int, seed: int) -> Sample:
    with (
        relaying(delay=_DELAY, loss=loss, seed=seed) as relay,
        run_pair(engine, form, 2, ["raw"], via=relay.addresses) as pair,
    ):
        line = "bare" if form is None else "raw"
        transfer = pair.transfer(line, _MESSAGE, size // _MESSAGE)
        pings = pair.ping(line, 64, _PINGS)
        dropped = relay.lost + relay.overflowed
        return Sample(
            transfer.speed,
            median(pings.seconds) * 1e3,
            size // _MESSAGE,
            100 * dropped / (relay.relayed + dropped),
        )
