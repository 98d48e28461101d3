"""Certificates for the tests of TLS, in files."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import trustme

__all__ = ["Files", "write"]


class Files(NamedTuple):
    certificate: Path
    key: Path


def write(files: Files, authority: trustme.CA, expires: datetime | None = None) -> None:
    """A fresh certificate of ``localhost`` and 127.0.0.1, and its key."""
    leaf = authority.issue_cert("localhost", "127.0.0.1", not_after=expires)
    leaf.private_key_pem.write_to_path(files.key)
    files.certificate.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
