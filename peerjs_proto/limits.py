"""Every bound on what a remote side can make us hold, each with its reason."""

from __future__ import annotations

import attrs

__all__ = ["CHUNK_SIZE", "DEFAULT_LIMITS", "Limits"]

CHUNK_SIZE = 16_300
"""Bytes of payload in one chunk, and the largest packed message sent whole.

peerjs 1.5.5, ``util.chunkedMTU``: Firefox to Chromium cut messages off at 16,384 bytes.
"""


@attrs.frozen(kw_only=True)
class Limits:
    """What one peer accepts from servers and other peers. Sizes in bytes, times in seconds.

    Whatever exceeds a bound ends as little as possible: a signaling message is dropped and
    reported, a data connection is closed with :class:`~peerjs_proto.errors.LimitExceeded`.
    """

    # -- signaling ------------------------------------------------------------------------
    signaling_bytes: int = 256 * 1024
    "One signaling message. An SDP with audio, video and data is 8 KiB; npm peer has no bound."
    nesting: int = 64
    "Depth of lists and maps in any decoded value. Python's own recursion ends near 1,000."
    candidate_bytes: int = 4096
    "One CANDIDATE message as it came. Browsers' have 300 bytes."
    early_candidates: int = 32
    "CANDIDATEs kept for one connection until its OFFER is accepted. Browsers send 2 to 20."
    early_connections: int = 32
    "Unknown connections for which CANDIDATEs are kept; the oldest is forgotten first."
    pending_connections: int = 64
    "Remote connections offered and not yet open. More are refused until some open or fail."
    dials: int = 64
    "Dials under way at once, as many as the far side lets wait; more of them wait for their turn."
    connections: int = 1024
    "Connections in all: an ICE agent and a few sockets each, the usual file limit."
    connect_timeout: float = 20.0
    "From dial to open, from offer to acceptance, and on to open. EXPIRE comes after 5 to 6 s."
    ring_timeout: float = 120.0
    "From a call's offer to its answer, at either end: people have to notice, and to decide."
    server_timeout: float = 10.0
    "From opening the socket to the server's OPEN, and for its HTTP answers."
    room_bytes: int = 256 * 1024
    "One answer about a room. 1,000 members with UUIDs for ids are 39,000 bytes."
    heartbeat_interval: float = 5.0
    "Between HEARTBEATs to the server; peerjs's ``pingInterval``. Servers allow 60 to 90 s."

    # -- a far side that is gone without a word ------------------------------------------
    keep_alive: float | None = 4.5
    """Silence of a peer of our own kind after which it is gone; it speaks three times in that
    time. More is wise where a program, or its machine, may be busy with something else for
    seconds. None: whatever ICE and DTLS find out, after half a minute or never."""
    idle_timeout: float | None = None
    """The same for other peers, such as pages, who need not speak where they have nothing to
    say. None: no end to their silence."""
    redial_timeout: float = 60.0
    "For how long a connection that another redials is kept without a path."
    redial_bytes: int = 16 * 1024 * 1024
    "Sent on a connection with redial and not known to have arrived. Beyond it, sending waits."

    # -- one data connection --------------------------------------------------------------
    early_frames: int = 64
    "Frames kept that overtake the opening of their channel. An engine bounds each."
    message_bytes: int = 256 * 1024 * 1024
    "One message, put together. PeerJS has no bound; a page's own memory ends near 2 GiB."
    message_items: int = 4 * 1024 * 1024
    "Values inside one message: a byte on the wire can be an object of 64 bytes here."
    partial_messages: int = 64
    "Chunked messages in reassembly at once. Senders in order have one, in disorder a few."
    partial_bytes: int = 256 * 1024 * 1024
    "Bytes in reassembly at once, over all messages of the connection."
    partial_timeout: float = 60.0
    "From the last piece of a message until it is dropped: twice what ICE waits for a packet."
    inbox_messages: int = 65_536
    "Messages received and not yet read by the application."
    inbox_bytes: int = 512 * 1024 * 1024
    "The same in bytes: on the wire, and 64 for every value inside."
    flush_timeout: float = 30.0
    "How long a flushing close waits for the far side to have everything."
    flush_linger: float = 0.25
    "Unordered channels: quiet needed after the far side's close message before we close."


DEFAULT_LIMITS = Limits()
"""What applies where nothing else is said."""
