"""Certificates, and that a bad one changes nothing."""

from __future__ import annotations

import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from peerjs_trio.tls import CertificateError, Certificates
from peerjs_trio.tls_layer import TlsFault, TlsLayer
from tests.trio.certificates import Files, write


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "fullchain.pem", tmp_path / "privkey.pem")


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLObject:
    """A handshake in memory; what the client knows after it."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(down, up, server_hostname="localhost")
    there = server.wrap_bio(up, down, server_side=True)
    done: set[ssl.SSLObject] = set()
    while len(done) < 2:
        for side in (here, there):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            done.add(side)
    return here


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_a_client_that_trusts_the_authority_is_served(files: Files, authority: trustme.CA) -> None:
    write(files, authority)
    client = trusting(authority)
    client.set_alpn_protocols(["h2", "http/1.1"])
    connection = shake_hands(Certificates(*files).context, client)
    assert connection.selected_alpn_protocol() == "http/1.1"
    assert connection.version() == "TLSv1.3"


def test_tls_1_1_is_refused(files: Files, authority: trustme.CA) -> None:
    write(files, authority)
    client = trusting(authority)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        client.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        shake_hands(Certificates(*files).context, client)


def test_a_renewed_certificate_is_for_the_next_handshake(
    files: Files, authority: trustme.CA
) -> None:
    write(files, authority, expires=datetime(2100, 1, 1, tzinfo=UTC))
    certificates = Certificates(*files)
    before = certificates.context
    assert certificates.expires == datetime(2100, 1, 1, tzinfo=UTC)
    write(files, authority, expires=datetime(2101, 1, 1, tzinfo=UTC))
    certificates.reload()
    assert certificates.expires == datetime(2101, 1, 1, tzinfo=UTC)
    for context, year in ((before, "2100"), (certificates.context, "2101")):
        shown = shake_hands(context, trusting(authority)).getpeercert()
        assert shown is not None
        assert year in str(shown["notAfter"])


@pytest.mark.parametrize(
    ("certificate", "key", "said"),
    [
        (b"nothing", None, r"fullchain\.pem: no certificate in PEM"),
        (b"", None, r"fullchain\.pem: no certificate in PEM"),
        (None, b"nothing", r"privkey\.pem: no key in PEM, or locked"),
        (None, b"", r"privkey\.pem: no key in PEM, or locked"),
    ],
)
def test_a_bad_file_is_named_and_changes_nothing(
    files: Files, authority: trustme.CA, certificate: bytes | None, key: bytes | None, said: str
) -> None:
    write(files, authority)
    certificates = Certificates(*files)
    before = certificates.context, certificates.expires
    if certificate is not None:
        files.certificate.write_bytes(certificate)
    if key is not None:
        files.key.write_bytes(key)
    with pytest.raises(CertificateError, match=said):
        certificates.reload()
    assert (certificates.context, certificates.expires) == before


def test_files_that_do_not_belong_together_are_refused(files: Files, authority: trustme.CA) -> None:
    write(files, authority)
    key = files.key.read_bytes()
    write(files, authority)
    files.key.write_bytes(key)
    with pytest.raises(CertificateError, match=r"privkey\.pem: not the key of .*fullchain\.pem"):
        Certificates(*files)


def test_a_locked_key_does_not_ask_for_its_password(files: Files, authority: trustme.CA) -> None:
    write(files, authority)
    key = load_pem_private_key(files.key.read_bytes(), None)
    locked = key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")
    )
    files.key.write_bytes(locked)
    with pytest.raises(CertificateError, match=r"privkey\.pem: no key in PEM, or locked"):
        Certificates(*files)


def test_a_missing_file_is_named(files: Files, authority: trustme.CA) -> None:
    with pytest.raises(CertificateError, match=r"fullchain\.pem: No such file"):
        Certificates(*files)
    write(files, authority)
    files.key.unlink()
    with pytest.raises(CertificateError, match=r"privkey\.pem: No such file"):
        Certificates(*files)


def test_the_last_two_weeks_are_worth_a_warning(files: Files, authority: trustme.CA) -> None:
    end = datetime(2100, 1, 31, tzinfo=UTC)
    write(files, authority, expires=end)
    certificates = Certificates(*files)
    assert certificates.warning(end - timedelta(days=15)) is None
    assert certificates.warning(end - timedelta(days=13)) == (
        "the certificate expires on 2100-01-31"
    )
    assert certificates.warning(end) == "the certificate has expired on 2100-01-31"


def test_nothing_can_be_said_behind_the_end(files: Files, authority: trustme.CA) -> None:
    write(files, authority)
    layer = TlsLayer(Certificates(*files).context)
    assert layer.encrypt(b"too early") == b""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting(authority).wrap_bio(incoming, outgoing, server_hostname="localhost")
    for _ in range(3):
        with suppress(ssl.SSLWantReadError):
            client.do_handshake()
        layer.decrypt(memoryview(outgoing.read()))
        incoming.write(layer.outgoing())
    incoming.write(layer.encrypt(b"hello"))
    assert client.read() == b"hello"
    layer.close()
    with pytest.raises(TlsFault):
        layer.encrypt(b"too late")
