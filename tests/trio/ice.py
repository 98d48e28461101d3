"""STUN and TURN servers on this machine: small ones that behave as told, and a real coturn."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

import attrs
import trio
from aioice.stun import Class, Message, Method, parse_message
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from peerjs_trio.rtc.engine import IceServer
from tests.interop.programs import find_program

__all__ = [
    "PASSWORD",
    "USER",
    "Coturn",
    "UdpServer",
    "closed_port",
    "run_coturn",
    "udp_server",
    "write_certificate",
]

USER: Final = "user"
PASSWORD: Final = "hunter2"

_START_TIMEOUT: Final = 30.0


@attrs.define(eq=False)
class UdpServer:
    """A STUN server that answers as many requests as it is told to."""

    port: int
    answers: float
    "How many requests it answers from now on."
    requests: int = 0
    _news: trio.Event = attrs.Factory(trio.Event)

    @property
    def stun(self) -> IceServer:
        return IceServer(f"stun:127.0.0.1:{self.port}")

    @property
    def turn(self) -> IceServer:
        return IceServer(f"turn:127.0.0.1:{self.port}", USER, PASSWORD)

    def answer(self, data: bytes, address: tuple[str, int]) -> bytes | None:
        self.requests += 1
        self._news.set()
        self._news = trio.Event()
        if self.requests > self.answers:
            return None
        request = parse_message(data)
        if request.message_method == Method.BINDING:
            return _reply(request, Class.RESPONSE, {"XOR-MAPPED-ADDRESS": address})
        if "USERNAME" in request.attributes:  # whoever it is
            return _reply(request, Class.ERROR, {"ERROR-CODE": (400, "Bad Request")})
        challenge = {"ERROR-CODE": (401, "Unauthorized"), "REALM": "example.org", "NONCE": b"n"}
        return _reply(request, Class.ERROR, challenge)

    async def asked(self, times: int = 1) -> None:
        """Wait until so many requests have come."""
        with trio.fail_after(60):
            while self.requests < times:
                await self._news.wait()


def _reply(request: Message, kind: Class, attributes: dict[str, Any]) -> bytes:
    return bytes(Message(request.message_method, kind, request.transaction_id, attributes))


@asynccontextmanager
async def udp_server(
    answers: float = 0, *, port: int = 0, echo: bool = False
) -> AsyncIterator[UdpServer]:
    """A UDP socket on loopback; one that answers nothing is the deadest server there is."""
    with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        await sock.bind(("127.0.0.1", port))
        server = UdpServer(sock.getsockname()[1], answers)

        async def serve() -> None:
            while True:
                data, address = await sock.recvfrom(2048)
                reply = server.answer(data, address)
                if echo:
                    await sock.sendto(data, address)
                elif reply is not None:
                    await sock.sendto(reply, address)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            yield server
            nursery.cancel_scope.cancel()


def closed_port(kind: socket.SocketKind = socket.SOCK_DGRAM) -> int:
    """A port on loopback where nobody listens: the kernel says so at once."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@attrs.frozen
class Coturn:
    """A running turnserver, for UDP and TCP on one port and for TLS on another."""

    port: int
    tls_port: int
    certificate: Path
    "Its own authority: for ``SSL_CERT_FILE``."

    def server(self, *urls: str) -> IceServer:
        """``{port}`` and ``{tls_port}`` stand for the numbers."""
        filled = [url.format(port=self.port, tls_port=self.tls_port) for url in urls]
        return IceServer(filled, USER, PASSWORD)


@contextmanager
def run_coturn(directory: Path) -> Iterator[Coturn]:
    """Run coturn on loopback for the length of the block; its files go to ``directory``."""
    program = find_program("turnserver", install="Debian: apt install coturn")
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    write_certificate(certificate, key)
    coturn = Coturn(closed_port(), closed_port(socket.SOCK_STREAM), certificate)
    command = [
        *(program, "-n", "--no-cli", "--no-dtls", "--lt-cred-mech", "--realm=example.org"),
        *("--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", "--allow-loopback-peers"),
        *(f"--listening-port={coturn.port}", f"--tls-listening-port={coturn.tls_port}"),
        *(f"--user={USER}:{PASSWORD}", f"--cert={certificate}", f"--pkey={key}"),
        *("--log-file=stdout", f"--pidfile={directory / 'pid'}", f"--userdb={directory / 'db'}"),
    ]
    log = directory / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=directory)
    try:
        _wait_until_up(process, coturn, log)
        yield coturn
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_up(process: subprocess.Popen[bytes], coturn: Coturn, log: Path) -> None:
    """Its listeners come one by one, in no order that could be relied on."""
    until = time.monotonic() + _START_TIMEOUT
    for is_up in (
        partial(_answers, coturn.port),
        partial(_listens, coturn.port),
        partial(_listens, coturn.tls_port),
    ):
        while not is_up():
            assert process.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < until, log.read_text(errors="replace")
            time.sleep(0.05)


def _answers(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        sock.connect(("127.0.0.1", port))
        try:
            sock.send(bytes(Message(Method.BINDING, Class.REQUEST)))
            return bool(sock.recv(2048))
        except (ConnectionRefusedError, TimeoutError):
            return False


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


def write_certificate(certificate: Path, key: Path) -> None:
    """One that has signed itself, for 127.0.0.1."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "coturn")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
