"""For testing what you build on the core: the same means the core's own tests use.

===============  ================================================================================
``values``       what applications send, by serialization
``messages``     signaling messages, their texts, and texts meant to hurt
``frames``       what arrives on a data channel: whole, in chunks, damaged
``operations``   everything that can be done to a peer and to a server, as values
``mutations``    valid bytes with something done to them
``world``        a server, WebRTC and a clock, simulated and stepped by hand
===============  ================================================================================

All but ``world`` are Hypothesis strategies and need ``peerjs-sansio[testing]``; they say so
where Hypothesis is missing.
"""
