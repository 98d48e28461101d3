"""The certificate of a server, and how a renewed one takes its place without a restart."""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta
from os import PathLike
from pathlib import Path
from typing import Final

from cryptography import x509

__all__ = ["EXPIRES_SOON", "CertificateError", "Certificates"]

EXPIRES_SOON: Final = timedelta(days=14)
"""certbot renews 30 days before the end: half of them are gone, and it has not."""


class CertificateError(Exception):
    """A certificate or its key cannot be used. The text names the file."""


class Certificates:
    """A private key and the certificate for it, from two files, both PEM."""

    def __init__(self, certfile: str | PathLike[str], keyfile: str | PathLike[str]) -> None:
        """
        Args:
            certfile: The certificate, and behind it those that lead to the root: certbot's
                ``fullchain.pem``.
            keyfile: Its key, without a password: certbot's ``privkey.pem``.

        Raises:
            CertificateError: as :meth:`reload`.
        """
        self._certfile = certfile
        self._keyfile = keyfile
        self._context, self._expires = self._load()

    @property
    def context(self) -> ssl.SSLContext:
        """For the next handshake. Ask anew each time: :meth:`reload` makes another."""
        return self._context

    @property
    def expires(self) -> datetime:
        """When the certificate ends, in UTC."""
        return self._expires

    def reload(self) -> None:
        """Read both files again. Connections that are open keep what they have.

        Raises:
            CertificateError: one cannot be read, or they do not belong together. What was in use
                stays in use.
        """
        self._context, self._expires = self._load()

    def warning(self, now: datetime) -> str | None:
        """What there is to say about the date, if anything: it has expired, or soon will."""
        if now >= self._expires:
            return f"the certificate has expired on {self._expires:%Y-%m-%d}"
        if now >= self._expires - EXPIRES_SOON:
            return f"the certificate expires on {self._expires:%Y-%m-%d}"
        return None

    def _load(self) -> tuple[ssl.SSLContext, datetime]:
        """A fresh context: loading into one that is in use could leave it with half."""
        try:
            certificate = x509.load_pem_x509_certificate(_read(self._certfile))
        except ValueError as error:
            raise CertificateError(f"{self._certfile}: no certificate in PEM") from error
        _read(self._keyfile)  # OpenSSL would not say which of the two it cannot read
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self._certfile, self._keyfile, password="")
        except (OSError, ValueError) as error:
            mismatch = isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH"
            fault = f"not the key of {self._certfile}" if mismatch else "no key in PEM, or locked"
            raise CertificateError(f"{self._keyfile}: {fault}") from error
        return context, certificate.not_valid_after_utc


def _read(file: str | PathLike[str]) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise CertificateError(f"{file}: {error.strerror}") from error
