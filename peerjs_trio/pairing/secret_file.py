"""A file of secrets: for its owner alone, written as a whole, by one process at a time."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from peerjs_proto.errors import LocalProtocolError

__all__ = ["locked", "read_secret", "write_secret"]

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def read_secret(path: Path) -> bytes | None:
    """What is in the file; None where there is none.

    Raises:
        LocalProtocolError: others may read or write it, or put another in its place.
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            _check(path, os.fstat(file.fileno()), _OTHERS, "0600")
            _check(path.parent, path.parent.stat(), _OTHERS_WRITE, "0700")
            return file.read()
    except FileNotFoundError:
        return None


def write_secret(path: Path, data: bytes) -> None:
    """Put this in its place, whole or not at all, and on the disk when it returns."""
    descriptor, fresh = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    except BaseException:
        os.unlink(fresh)
        raise
    if os.name != "nt":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """For as long as the block lasts nobody else is in one; makes the folder where it is missing.

    Other threads of this process are kept out as well.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Not the file itself, which is replaced.
    descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)  # and with it the lock


def _check(path: Path, status: os.stat_result, wrong: int, right: str) -> None:
    """As ssh does with its keys."""
    if os.name == "nt":  # access is not in the mode there
        return
    if status.st_uid != os.geteuid():
        raise LocalProtocolError(f"{path} holds secrets of ours, and belongs to another user")
    if mode := stat.S_IMODE(status.st_mode) & wrong:
        raise LocalProtocolError(
            f"permissions of {path} are too open ({mode:04o} too many): others can get at the "
            f"secrets there. It should be: chmod {right} {path}"
        )


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
