"""What ``peerjs doctor`` learns of one STUN or TURN server, from inside the guest loop."""

from __future__ import annotations

import asyncio
import ssl
from typing import Literal

import attrs

from peerjs_trio.rtc.probe import Refused, Target, open_line
from peerjs_trio.rtc.troubles import SILENT, failure, refusal

__all__ = ["Examined", "examine"]


@attrs.frozen
class Examined:
    """What came of it."""

    target: Target
    outcome: Literal["serves", "refuses", "answers", "silent", "unreachable"]
    """Only the first is good. It refuses our credentials; or it answers, but not with what it
    was asked for."""
    words: str = ""
    "What is wrong with it."
    took: float | None = None
    "Seconds for all of the questions."
    mapped: str | None = None
    "Our address and port, as the server sees it."
    relayed: str | None = None
    "What a TURN server has lent us."

    @property
    def is_there(self) -> bool:
        """Whether anything came back."""
        return self.outcome not in ("silent", "unreachable")


async def examine(target: Target, patience: float) -> Examined:
    """Ask for what a connection would ask for: our address, or a relay. Raises nothing."""
    clock = asyncio.get_running_loop().time
    began = clock()
    relayed = None
    try:
        async with asyncio.timeout(patience), open_line(target) as line:
            if target.kind == "STUN":
                mapped = await line.mapped_address()
            else:
                allocation = await line.allocate()
                mapped, relayed = allocation.mapped, allocation.relayed
    except TimeoutError:
        return Examined(target, "silent", f"{SILENT} within {patience:g} s")
    except Refused as refused:
        if refused.is_of_credentials:
            return Examined(target, "refuses", refusal(target.server), clock() - began)
        return Examined(target, "answers", failure(refused.code), clock() - began)
    except ssl.SSLCertVerificationError as error:
        words = f"has a certificate that is not trusted: {error.verify_message}"
        return Examined(target, "unreachable", words)
    except OSError as error:
        words = error.strerror or str(error) or type(error).__name__
        return Examined(target, "unreachable", f"cannot be reached: {words}")
    return Examined(
        target,
        "serves",
        took=clock() - began,
        mapped=_written(mapped),
        relayed=None if relayed is None else _written(relayed),
    )


def _written(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
