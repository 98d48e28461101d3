"""A PeerServer on the local network: announced, and found, without internet and without addresses.

By DNS-SD over multicast DNS (RFC 6763, RFC 6762), as ``_peerjs._tcp.local.``; docs/lan.md says what
is in the records, and whom that tells what.
"""
