"""As many open files as a server needs: each socket is one."""

from __future__ import annotations

import logging

from peerjs_trio.observe import log

__all__ = ["allow_open_files"]

_OTHERS = 64
"What else a process has open."


def allow_open_files(sockets: int) -> None:
    """Raise this process's limit where it may be raised, and warn where it may not.

    Most systems start programs with 1,024, as select(2) knows no more, and let them have more if
    they ask. Node.js asks too.
    """
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = sockets + _OTHERS
    if soft >= wanted or soft == resource.RLIM_INFINITY:
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    except (ValueError, OSError):  # macOS has another limit, which it does not say
        allowed = soft
    if allowed < wanted:
        log(logging.WARNING, "few_open_files", allowed=allowed, wanted=wanted)
