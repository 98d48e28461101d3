"""Peers on hosts that reach each other through a TURN server, or a NAT, or not at all."""
