"""STUN and TURN servers, and what their answers say of UDP."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from peerjs_trio.guest import open_guest_loop
from peerjs_trio.rtc.doctor import Examined, examine
from peerjs_trio.rtc.probe import Target

from .finding import Finding, Tell, milliseconds

__all__ = ["check_ice"]


async def check_ice(targets: Sequence[Target], patience: float, tell: Tell) -> None:
    """All are asked at once; each takes up to ``patience`` seconds."""
    results: dict[int, Examined] = {}
    done = [trio.Event() for _ in targets]

    async with open_guest_loop() as guest, trio.open_nursery() as nursery:

        async def ask(number: int, target: Target) -> None:
            if target.kind:
                results[number] = await guest.run(examine, target, patience)
            done[number].set()

        for number, target in enumerate(targets):
            nursery.start_soon(ask, number, target)
        for number, target in enumerate(targets):
            await done[number].wait()
            tell(_finding(results[number]) if number in results else _unusable(target))
    _check_kinds(targets, tell)
    _check_udp(list(results.values()), tell)


def _finding(examined: Examined) -> Finding:
    target = examined.target
    check = target.kind.lower()
    facts = {
        "url": target.url,
        "outcome": examined.outcome,
        "seconds": examined.took,
        "mapped": examined.mapped,
        "relayed": examined.relayed,
    }
    if examined.outcome == "serves":
        assert examined.took is not None
        relay = "" if examined.relayed is None else f"lends us {examined.relayed}, "
        text = f"{target.url} {relay}sees us as {examined.mapped}: {milliseconds(examined.took)}"
        return Finding(check, "ok", text, facts=facts)
    advice = {
        "refuses": "Check --username and --credential, or --secret; and the clock, if they expire.",
        "answers": "Its own log may tell more.",
        "silent": "It is down, or a firewall drops what goes there or comes back.",
        "unreachable": "Check its name, its port and, with turns:, its certificate.",
    }[examined.outcome]
    return Finding(check, "wrong", f"{target.url} {examined.words}", advice, facts)


def _unusable(target: Target) -> Finding:
    text = f"{target.url} is of a kind that aiortc cannot use, and was not asked"
    advice = 'open_peer(engine="wrtc") can, or write it as turn:NAME:PORT?transport=tcp.'
    return Finding("ice", "note", text, advice, {"url": target.url})


def _check_kinds(targets: Sequence[Target], tell: Tell) -> None:
    if not targets:
        text = "no STUN or TURN server was given: connections work inside one network alone"
        tell(Finding("ice", "note", text, "Name some: --ice stun:HOST:PORT --ice turn:HOST:PORT"))
    elif not any(target.url.startswith("turn") for target in targets):
        text = "no TURN server was given: some pairs of networks find no path without"
        tell(Finding("turn", "note", text, "Name one: --ice turn:HOST:PORT"))


def _check_udp(results: Sequence[Examined], tell: Tell) -> None:
    """Whether any datagram comes back, from whomever."""
    udp = [result for result in results if not result.target.tcp]
    asked = [result for result in udp if result.outcome != "unreachable"]  # by their names
    answered = [result for result in asked if result.is_there]
    facts = {"asked": len(asked), "answered": len(answered)}
    if answered:
        text = f"{len(answered)} of {len(asked)} servers answered"
        tell(Finding("udp", "ok", text, facts=facts))
    elif asked:
        text = f"nothing comes back: none of {len(asked)} servers answered"
        advice = "If a firewall drops UDP, use a TURN server by TCP: turn:HOST:PORT?transport=tcp"
        tell(Finding("udp", "wrong", text, advice, facts))
    else:
        tell(Finding("udp", "note", "not known: no server could be asked by UDP", facts=facts))
