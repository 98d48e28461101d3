"""The secret that rooms are made of, kept in a file: the same rooms after a restart."""

from __future__ import annotations

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from peerjs_proto.errors import LocalProtocolError

__all__ = ["default_secret_file", "room_secret"]

_BYTES = 32
_ENOUGH = 16


def room_secret(path: Path | None = None) -> bytes:
    """The secret in the file, which is made, readable by its owner alone, if it is not there.

    Args:
        path: None is :func:`default_secret_file`.

    Several processes may start with the same file at once: all get the same secret.

    Raises:
        OSError: the file can be neither read nor made.
        LocalProtocolError: what is in it is too short for a secret.
    """
    path = path or default_secret_file()
    if not path.exists():
        _make(path)
    secret = path.read_bytes().strip()
    if len(secret) < _ENOUGH:
        raise LocalProtocolError(f"{path} holds no secret: {_ENOUGH} bytes are the least")
    return secret


def default_secret_file() -> Path:
    """In systemd's ``$STATE_DIRECTORY``, else where users' programs keep their state.

    The latter by the XDG Base Directory Specification 0.8.
    """
    if given := os.environ.get("STATE_DIRECTORY"):  # several, with colons between
        return Path(given.partition(":")[0]) / "room-secret"
    state = os.environ.get("XDG_STATE_HOME", "")
    base = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"
    return base / "peerjs-sansio" / "room-secret"


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Under its name it appears whole or not at all, and the first one stays.
    descriptor, fresh = tempfile.mkstemp(dir=path.parent, prefix=".room-secret-")  # mode 0600
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(f"{secrets.token_hex(_BYTES)}\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        os.unlink(fresh)
