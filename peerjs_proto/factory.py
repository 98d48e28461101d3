"""What a dial or an OFFER asks for, as a new connection; or why there can be none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import jsontext, messages
from .backoff import Redial
from .connections import AnyConnection, Connections
from .data import DataProtocol, DataTerms
from .errors import LocalProtocolError
from .limits import DEFAULT_LIMITS, Limits
from .media import MediaProtocol
from .negotiation import Signaling, Terms
from .outbox import Outbox
from .redial import RedialProtocol
from .serialization import MISSING_EXTRAS, serializer_for
from .serializer import Serializations, Serializer
from .versions import explain_unknown

__all__ = ["ConnectionFactory"]

_THEIRS = Redial()
"Of whom another redials: how long one of its attempts may take."


class ConnectionFactory:
    """Used by :class:`~peerjs_proto.peer.PeerProtocol`, which adds what is made here."""

    def __init__(
        self,
        connections: Connections,
        *,
        limits: Limits,
        serializations: Serializations,
        media: bool,
        random: Callable[[], float] | None,
        signaling: Signaling,
        outbox: Outbox,
    ) -> None:
        self._connections = connections
        self._limits = limits
        self._serializations = serializations
        self._has_media = media
        self._random = random
        self._signaling = signaling
        self._outbox = outbox

    def for_dial(
        self,
        peer: str,
        *,
        connection_id: str,
        label: str | None,
        metadata: Any,
        serialization: str,
        reliable: bool,
        redial: Redial | None,
    ) -> DataProtocol:
        """Raises LocalProtocolError."""
        if redial is not None and self._random is None:
            raise LocalProtocolError("redial needs random, or all peers dial again at once")
        serializer = serializer_for(serialization, self._limits, self._serializations)
        terms = DataTerms(
            peer=peer,
            connection_id=connection_id,
            label=label or connection_id,
            metadata=self._metadata(metadata),
            serialization=serialization,
            reliable=bool(reliable) or serializer.always_reliable or redial is not None,
        )
        return self._data(terms, serializer, redial)

    def for_call(self, peer: str, *, connection_id: str, metadata: Any) -> MediaProtocol:
        """Raises LocalProtocolError."""
        if not self._has_media:
            raise LocalProtocolError("this peer has no media")
        terms = Terms(peer=peer, connection_id=connection_id, metadata=self._metadata(metadata))
        return self._media(terms)

    def for_offer(self, src: str, offer: messages.Offer) -> AnyConnection | str:
        """What an OFFER asks for, or why it cannot be."""
        if offer.kind == "media" and self._has_media:
            return self._media(
                Terms(peer=src, connection_id=offer.connection_id, metadata=offer.metadata)
            )
        if offer.kind != "data":
            return f"offers a {offer.kind[:20]!r} connection, which is not supported"
        serialization = offer.serialization
        if serialization is None or serialization not in self._serializations:
            reason = explain_unknown(offer, self._serializations)
            missing = MISSING_EXTRAS.get(serialization or "")
            return f"{reason}; {missing}" if missing else reason
        serializer = serializer_for(serialization, self._limits, self._serializations)
        serializer.before_1_5 = offer.before_1_5
        if serializer.always_reliable and not offer.reliable:
            return f"offers {serialization!r} without order, in which it cannot be read"
        terms = DataTerms(
            peer=src,
            connection_id=offer.connection_id,
            label=offer.label or offer.connection_id,
            metadata=offer.metadata,
            serialization=serialization,
            reliable=bool(offer.reliable),
        )
        theirs = offer.extension
        wanted = terms.reliable and theirs is not None and theirs.redial is not None
        return self._data(terms, serializer, _THEIRS if wanted else None)

    # --- inside ---------------------------------------------------------------------------

    def _metadata(self, metadata: Any) -> Any:
        """A copy: what the application does to its own must not reach the wire half-way."""
        # Two levels are the OFFER's own, and no OFFER goes out deeper than the default.
        depth = min(self._limits.nesting, DEFAULT_LIMITS.nesting) - 2
        text = jsontext.dumps(metadata, max_depth=depth)
        size = len(text.encode())
        if size > self._limits.signaling_bytes // 2:
            raise LocalProtocolError(f"metadata of {size} bytes does not fit the signaling")
        return jsontext.loads(text, max_depth=depth)

    def _data(
        self, terms: DataTerms, serializer: Serializer, redial: Redial | None
    ) -> DataProtocol:
        number = self._connections.next_number()
        if redial is None:
            return DataProtocol(
                number,
                terms,
                serializer,
                signaling=self._signaling,
                limits=self._limits,
                outbox=self._outbox,
            )
        return RedialProtocol(
            number,
            terms,
            serializer,
            policy=redial,
            random=self._random or float,  # which gives 0.0; who is dialled has no use for it
            signaling=self._signaling,
            limits=self._limits,
            outbox=self._outbox,
        )

    def _media(self, terms: Terms) -> MediaProtocol:
        return MediaProtocol(
            self._connections.next_number(),
            terms,
            signaling=self._signaling,
            limits=self._limits,
            outbox=self._outbox,
        )
