"""Who may register under which id: the key, the rules for ids, and ids that are spoken for."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Container, Mapping
from typing import Final
from urllib.parse import parse_qsl

import attrs

from .endpoint import validate_id
from .errors import InvalidId
from .server_http import split_target
from .server_io import Credentials, Refusal, ServerLimits

__all__ = ["Admission"]


class Admission:
    """Used by :class:`~peerjs_proto.server.ServerProtocol`; see there for the arguments."""

    def __init__(self, key: str, reserved_ids: Mapping[str, str], limits: ServerLimits) -> None:
        self._key = key
        self._reserved = dict(reserved_ids)
        self._limits = limits
        self._leases: dict[str, _Lease] = {}

    def examine(self, target: str) -> Credentials | Refusal:
        """What a WebSocket's request target asks for, or why it cannot have it."""
        # Of equal names the last one wins, as in JavaScript's Object.fromEntries.
        query = dict(parse_qsl(split_target(target)[1], keep_blank_values=True))
        id, token, key = query.get("id"), query.get("token"), query.get("key")
        if not id or not token or not key:
            return Refusal.INCOMPLETE
        if not same_secret(key, self._key):
            return Refusal.BAD_KEY
        if len(token) > self._limits.token_length:
            return Refusal.BAD_TOKEN
        try:
            if len(id) > self._limits.id_length:
                return Refusal.BAD_ID
            validate_id(id)
        except InvalidId:
            return Refusal.BAD_ID
        reserved = self._reserved.get(id)
        if reserved is not None and not same_secret(token, reserved):
            return Refusal.ID_TAKEN
        return Credentials(id, token, key)

    def give_id(
        self, fresh_id: Callable[[], str], taken: Container[str], network: str, now: float
    ) -> str | None:
        """An id that is nobody's, kept for those who asked for it; None if none was found."""
        self._forget_leases(now)
        for _ in range(_ATTEMPTS):
            id = fresh_id()
            if id not in taken and id not in self._reserved and id not in self._leases:
                if network:  # else whoever knows it may have it
                    self._leases[id] = _Lease(network, now + self._limits.id_lease)
                return id
        return None

    def is_leased(self, id: str, network: str, now: float) -> bool:
        """Whether an id was given to somebody in another network a short while ago.

        Addresses of two families (IPv4 and IPv6) can be one machine's: browsers try both.
        """
        self._forget_leases(now)
        lease = self._leases.get(id)
        return (
            lease is not None
            and lease.network != network
            and (":" in lease.network) == (":" in network)
        )

    def end_lease(self, id: str) -> None:
        """It is registered: its token holds it now."""
        self._leases.pop(id, None)

    def _forget_leases(self, now: float) -> None:
        # All last equally long, so that the oldest stand first.
        while self._leases:
            id, lease = next(iter(self._leases.items()))
            if lease.until > now and len(self._leases) <= self._limits.id_leases:
                break
            del self._leases[id]


def same_secret(one: str, other: str) -> bool:
    """Compare in a time that tells nothing of where they differ."""
    return hmac.compare_digest(
        one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass")
    )


@attrs.frozen
class _Lease:
    network: str
    until: float


_ATTEMPTS: Final = 100
"To find an id that is free; with UUIDs the first is."
