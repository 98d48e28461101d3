"""Ids of one node's clients, as agreed with the other nodes through the store they share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial

from .cluster_io import Claim, Reply, Request
from .server import ServerProtocol
from .server_io import Credentials

__all__ = ["Claims", "digest"]


class Claims:
    """Used by :class:`~peerjs_proto.cluster.ClusterNode`, which says what each call is for."""

    def __init__(
        self,
        core: ServerProtocol,
        ask: Callable[[Request], None],
        settle: Callable[[Claim], None],
    ) -> None:
        """
        Args:
            ask: Takes what the store is to be asked.
            settle: Called with each claim once it is granted or refused.
        """
        self.is_connected = False
        self.to_fetch: dict[str, None] = {}
        "Ids that messages wait for in the store."
        self._core = core
        self._ask = ask
        self._settle = settle
        self._granted: dict[str, Claim] = {}  # the latest of each id
        self._open: dict[Claim, None] = {}  # neither granted nor refused yet
        self._again: set[Claim] = set()  # asked for again, and not answered yet

    @property
    def are_known(self) -> bool:
        """Whether the store knows of all of them."""
        return not self._again

    # --- the store comes and goes -------------------------------------------------------------

    def connected(self) -> None:
        self.is_connected = True
        for claim in self._granted.values():
            self._ask_again(claim)

    def disconnected(self) -> None:
        self.is_connected = False
        self.to_fetch.clear()
        self._again.clear()
        for claim in list(self._open):
            self._decide(claim)

    # --- clients come and go ------------------------------------------------------------------

    def claim(self, credentials: Credentials, nonce: str) -> Claim:
        claim = Claim(credentials.id, nonce, digest(credentials.id, credentials.token))
        self._open[claim] = None
        if self.is_connected:
            self._ask_for(claim)
        else:
            self._decide(claim)
        return claim

    def registered(self, claim: Claim, client: int) -> None:
        claim.client = client
        if claim.lost:
            self._core.client_moved(client)
        elif claim.waited_for:
            self.to_fetch[claim.id] = None

    def release(self, claim: Claim) -> None:
        self._open.pop(claim, None)  # nobody waits for it any more
        self._again.discard(claim)
        if self._granted.get(claim.id) is claim:
            del self._granted[claim.id]
        if self.is_connected:
            settle = partial(self._released, claim)
            self._ask(Request("release", (claim.id, claim.nonce), settle))

    # --- what others say ----------------------------------------------------------------------

    def moved(self, id: str, nonce: str) -> None:
        """Somebody else has taken the id of the claim with this nonce."""
        for claim in self._of(id):
            if claim.nonce == nonce:
                self._lose(claim)

    def waited_for(self, id: str) -> None:
        """Messages wait for an id of this node."""
        for claim in self._of(id):
            if claim.client is None:
                claim.waited_for = True  # until it is on
            else:
                self.to_fetch[id] = None

    def _of(self, id: str) -> list[Claim]:
        """Also those that the store has granted, while its answer is still on its way."""
        claims = [claim for claim in self._open if claim.id == id]
        if (granted := self._granted.get(id)) is not None:
            claims.append(granted)
        return claims

    # --- one claim ----------------------------------------------------------------------------

    def _ask_for(self, claim: Claim) -> None:
        arguments = claim.id, claim.nonce, claim.digest, int(claim.known)
        self._ask(Request("claim", arguments, partial(self._answered, claim)))

    def _ask_again(self, claim: Claim) -> None:
        self._again.add(claim)
        self._ask_for(claim)

    def _answered(self, claim: Claim, reply: Reply, now: float) -> None:
        is_ours = reply[0] == 1
        claim.waited_for = claim.waited_for or reply[1] == 1
        if claim in self._open:
            claim.known = is_ours
            self._conclude(claim, is_ours)
        elif claim in self._again:
            self._again.discard(claim)
            claim.known = True
            if not is_ours:
                self._lose(claim)
            elif claim.client is not None and claim.waited_for:
                self.to_fetch[claim.id] = None

    def _released(self, claim: Claim, reply: Reply, now: float) -> None:
        older = self._granted.get(claim.id)
        if older is not None and not claim.granted:
            # Nobody waited for what the store granted, but it took the id from this one.
            self._ask_again(older)

    def _decide(self, claim: Claim) -> None:
        """Without the store: only who is here counts."""
        older = self._granted.get(claim.id)
        self._conclude(claim, older is None or older.digest == claim.digest)

    def _conclude(self, claim: Claim, is_ours: bool) -> None:
        claim.granted = is_ours
        if is_ours:
            older = self._granted.get(claim.id)
            if older is not None and older.digest != claim.digest:
                self._lose(older)  # what says so is still on its way
            if not claim.lost:
                self._granted[claim.id] = claim
        del self._open[claim]
        self._settle(claim)

    def _lose(self, claim: Claim) -> None:
        claim.lost = True
        if self._granted.get(claim.id) is claim:
            del self._granted[claim.id]
        if claim.client is not None:
            self._core.client_moved(claim.client)


def digest(id: str, token: str) -> str:
    """Of a token, good for one id only."""
    return hashlib.sha256(f"{id}\0{token}".encode("utf-8", "surrogatepass")).hexdigest()
