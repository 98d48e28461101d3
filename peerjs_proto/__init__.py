"""The PeerJS protocol with no I/O, no clock and no randomness, for anyone to embed.

Begin with :class:`peerjs_proto.peer.PeerProtocol`; each module stands for one idea.
"""
