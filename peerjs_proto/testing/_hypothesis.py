"""Hypothesis, or the word on how to get it."""

try:
    from hypothesis import strategies as st
except ImportError as error:
    raise ImportError(
        "the strategies of peerjs_proto.testing need Hypothesis:"
        " pip install 'peerjs-sansio[testing]'"
    ) from error

__all__ = ["st"]
