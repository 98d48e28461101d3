"""The PeerServer: its name, HTTP, its clock, and the WebSocket."""

from __future__ import annotations

import email.utils
import http.client
import ipaddress
import json
import secrets
import socket
import ssl
import time
from typing import Final
from urllib.parse import urlsplit

import attrs
import trio

from peerjs_proto.endpoint import Endpoint, validate_id
from peerjs_proto.errors import InvalidId
from peerjs_trio.websocket import Socket, TransportError, WebSocketTransport

from .finding import Finding, Tell, milliseconds

__all__ = ["check_server"]

_BODY_BYTES: Final = 4096
_MESSAGE_BYTES: Final = 1 << 16

_TOLERATED: Final = 30.0
"Seconds a clock may be wrong before certificates and short-lived credentials suffer."


@attrs.frozen
class _Reply:
    status: int
    body: bytes
    date: str | None
    took: float
    at: float
    "When it came, in seconds since 1970."


async def check_server(endpoint: Endpoint, patience: float, tell: Tell) -> None:
    """One after the other; each takes up to ``patience`` seconds. Stops where the way ends."""
    if not await _check_name(endpoint, patience, tell):
        return
    reply = await _fetch(endpoint.url, patience, tell)
    if reply is None:
        return
    _check_description(endpoint, reply, tell)
    await _check_id(endpoint, patience, tell)
    _check_clock(reply, tell)
    await _check_websocket(endpoint, patience, tell)


async def _check_name(endpoint: Endpoint, patience: float, tell: Tell) -> bool:
    try:
        ipaddress.ip_address(endpoint.host)
    except ValueError:
        pass
    else:
        return True
    found = None
    why = f"no answer within {patience:g} s"
    with trio.move_on_after(patience):
        try:
            found = await trio.socket.getaddrinfo(
                endpoint.host, endpoint.port, type=socket.SOCK_STREAM
            )
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or str(error)
    if found is None:
        advice = "Check the name in --server. If other names fail too, it is this machine's DNS."
        tell(Finding("dns", "wrong", f"{endpoint.host} has no address: {why}", advice))
        return False
    addresses = list(dict.fromkeys(address[0] for *_, address in found))
    text = f"{endpoint.host} is {', '.join(map(str, addresses))}"
    tell(Finding("dns", "ok", text, facts={"addresses": addresses}))
    return True


async def _fetch(url: str, patience: float, tell: Tell) -> _Reply | None:
    """Tells what is wrong, if there is no reply."""
    try:
        with trio.fail_after(patience):
            return await trio.to_thread.run_sync(_get, url, patience, abandon_on_cancel=True)
    except Exception as error:
        text, advice = _explain(error, url, patience)
        tell(Finding("http", "wrong", f"{url} {text}", advice))
        return None


def _get(url: str, patience: float) -> _Reply:
    """In a thread of its own. Raises OSError, ssl.SSLError and http.client.HTTPException."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=patience)
    began = time.monotonic()
    try:
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request("GET", target, headers={"Cache-Control": "no-store"})
        response = connection.getresponse()
        body = response.read(_BODY_BYTES)
        took = time.monotonic() - began
        return _Reply(response.status, body, response.getheader("Date"), took, time.time())
    finally:
        connection.close()


def _explain(error: Exception, url: str, patience: float) -> tuple[str, str]:
    """What an attempt to fetch came to, and what to do about it."""
    match error:
        case ssl.SSLCertVerificationError():
            return (
                f"has a certificate that is not trusted: {error.verify_message}",
                "Mend the certificate, or this machine's clock or certificate authorities "
                "(SSL_CERT_FILE names a file of them).",
            )
        case ssl.SSLError():
            return (
                f"does not speak TLS: {error.reason or error}",
                "Perhaps it is plain http: try --server http://…",
            )
        case trio.TooSlowError() | TimeoutError():
            return (
                f"does not answer within {patience:g} s",
                "It hangs, or a firewall drops what goes there or comes back.",
            )
        case ConnectionRefusedError():
            return "refuses: nobody listens at that port", "Start the server, or check the port."
        case http.client.HTTPException() | ConnectionError():
            words = str(error) or type(error).__name__
            return (
                f"does not speak HTTP: {words[:100]}",
                "Check the port; perhaps it speaks TLS: try --server https://…",
            )
    return f"cannot be reached: {error}", "Check this machine's network and the address."


def _check_description(endpoint: Endpoint, reply: _Reply, tell: Tell) -> None:
    try:
        described = json.loads(reply.body)
        is_one = "peerjs" in str(described["name"]).lower()
    except (ValueError, TypeError, KeyError):
        is_one = False
    facts = {"url": endpoint.url, "status": reply.status, "seconds": reply.took}
    if is_one:
        text = f"{endpoint.url} is a PeerServer: {milliseconds(reply.took)}"
        tell(Finding("http", "ok", text, facts=facts))
    else:
        text = f"{endpoint.url} answers with status {reply.status}, and not as a PeerServer does"
        advice = "Check the port and the path in --server."
        tell(Finding("http", "wrong", text, advice, facts))


async def _check_id(endpoint: Endpoint, patience: float, tell: Tell) -> None:
    reply = await _fetch(endpoint.id_url(), patience, tell)
    if reply is None:
        return
    try:
        id = validate_id(reply.body.decode())
    except (InvalidId, UnicodeDecodeError):
        id = None
    if reply.status == 200 and id is not None:
        tell(Finding("id", "ok", "it gives out ids", facts={"id": id}))
    else:
        text = f"it gives out no id: status {reply.status}"
        tell(Finding("id", "wrong", text, "Check the path in --server, and --key."))


def _check_clock(reply: _Reply, tell: Tell) -> None:
    """By the server's, which tells whole seconds."""
    try:
        theirs = email.utils.parsedate_to_datetime(reply.date or "").timestamp()
    except (ValueError, TypeError):
        tell(Finding("clock", "note", "not known: the server does not say what time it is"))
        return
    ours = reply.at - reply.took / 2
    off = ours - (theirs + 0.5)
    facts = {"seconds": round(off, 1)}
    if abs(off) <= _TOLERATED:
        tell(Finding("clock", "ok", "it agrees with the server's", facts=facts))
    else:
        text = f"{abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} the server's"
        advice = "Set it by NTP: TLS and TURN credentials that expire depend on it."
        tell(Finding("clock", "wrong", text, advice, facts))


async def _check_websocket(endpoint: Endpoint, patience: float, tell: Tell) -> None:
    """Register under an id that nobody has, and send a message to ourselves."""
    id, began = f"doctor-{secrets.token_hex(8)}", trio.current_time()
    url = endpoint.websocket_url(id, secrets.token_urlsafe(16))
    stage = "the WebSocket does not open"
    try:
        with trio.fail_after(patience):
            async with WebSocketTransport().open(url, max_bytes=_MESSAGE_BYTES) as socket:
                stage = "it does not register us"
                opened = await _receive(socket)
                registered = trio.current_time()
                if opened.get("type") != "OPEN":
                    _refused(opened, tell)
                    return
                stage = "it relays nothing"
                word = secrets.token_hex(8)
                message = {"type": "CANDIDATE", "dst": id, "payload": {"doctor": word}}
                await socket.send(json.dumps(message))
                while (await _receive(socket)).get("payload") != {"doctor": word}:
                    pass
                relayed = trio.current_time()
    except trio.TooSlowError:
        advice = "A proxy in between may keep WebSockets back, or the server hangs."
        text = f"{stage} within {patience:g} s"
    except (TransportError, ValueError) as error:
        advice = "A proxy in between must let WebSockets through (the headers Upgrade, Connection)."
        text = f"{stage}: {error}"
    else:
        opening, relay = registered - began, relayed - registered
        text = f"registered in {milliseconds(opening)}, a message relayed in {milliseconds(relay)}"
        facts = {"seconds": opening, "relay_seconds": relay}
        tell(Finding("websocket", "ok", text, facts=facts))
        return
    tell(Finding("websocket", "wrong", text, advice))


async def _receive(socket: Socket) -> dict[str, object]:
    """Raises ValueError for what is no message."""
    message = json.loads(await socket.receive())
    if not isinstance(message, dict):
        raise ValueError("what it sends is no message")  # noqa: TRY004 - nobody's type is wrong
    return message


def _refused(message: dict[str, object], tell: Tell) -> None:
    payload = message.get("payload")
    words = payload.get("msg") if isinstance(payload, dict) else None
    text = f"the server refuses us: {str(words or message.get('type'))[:100]}"
    tell(Finding("websocket", "wrong", text, "If that is about the key, give the server's: --key"))
