"""What the options of ``peerjs serve`` come to: hooks imported, certificates and secrets read."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from peerjs_proto.errors import LocalProtocolError
from peerjs_proto.server import ServerProtocol
from peerjs_proto.server_io import ServerLimits
from peerjs_trio.room_secret import room_secret
from peerjs_trio.tls import CertificateError, Certificates

from .config import ConfigError, Settings
from .hooks import load_hook

if TYPE_CHECKING:
    from peerjs_trio.hub import Bus

__all__ = ["Prepared", "prepare"]


@attrs.frozen
class Prepared:
    """All that a server is opened with. It can be."""

    arguments: dict[str, Any] = attrs.field(repr=False)
    "Of :func:`~peerjs_trio.server.open_server`."
    certificates: Certificates | None
    bus: Bus | None


def prepare(settings: Settings) -> Prepared:
    """Do all that can fail before a server is opened, but for taking its port.

    Raises:
        ConfigError: for what is there to be corrected.
    """
    certificates = _certificates(settings)
    core = {
        "path": settings["path"],
        "key": settings["key"],
        "allow_discovery": settings["allow_discovery"],
        "alive_timeout": settings["alive_timeout"],
        "expire_timeout": settings["expire_timeout"],
        "concurrent_limit": settings["concurrent_limit"],
        "cors": settings["cors"],
        "reserved_ids": settings["reserved"] or {},
        "may_offer": _hook(settings, "may_offer"),
        "limits": ServerLimits(**settings.table("limits")),
    }
    try:
        core |= _rooms(settings)
        ServerProtocol(**core)
    except LocalProtocolError as error:
        raise ConfigError(str(error)) from error
    if settings["metrics"] or settings["metrics_port"] is not None:
        _import_metrics()
    if settings["lan"]:
        _check_lan(settings)
    bus = _bus(settings)
    arguments = core | {
        "host": settings["host"],
        "port": settings["port"],
        "proxied": settings["proxied"],
        "certificates": certificates,
        "authorize": _hook(settings, "authorize"),
        "generate_client_id": _hook(settings, "generate_client_id"),
        "bus": bus,
    }
    return Prepared(arguments, certificates, bus)


def _certificates(settings: Settings) -> Certificates | None:
    key, certificate = settings["sslkey"], settings["sslcert"]
    if key is None and certificate is None:
        return None
    if key is None or certificate is None:
        raise ConfigError("TLS takes both: sslkey and sslcert")
    try:
        return Certificates(Path(certificate), Path(key))
    except CertificateError as error:
        raise ConfigError(str(error)) from error


def _rooms(settings: Settings) -> dict[str, Any]:
    """Named rooms are there beside those of networks."""
    if not settings["rooms"] and not settings["named_rooms"]:
        return {}
    file = settings["room_secret_file"]
    try:
        secret = room_secret(None if file is None else Path(file))
    except OSError as error:
        raise ConfigError(f"the secret of rooms: {error.filename}: {error.strerror}") from error
    return {"rooms": "named" if settings["named_rooms"] else "network", "room_secret": secret}


def _bus(settings: Settings) -> Bus | None:
    if settings["workers"] < 1:
        raise ConfigError(f"{settings.source('workers')}: workers: there is one at least")
    if settings["redis"] is None:
        if settings["workers"] > 1:
            raise ConfigError(
                f"{settings.source('workers')}: workers: more than one needs redis, through which "
                "they find each other's clients"
            )
        return None
    try:
        bus: Bus = importlib.import_module("peerjs_trio.bus").RedisBus(
            settings["redis"], name=settings["redis_name"], lease=settings["redis_lease"]
        )
    except (ImportError, ValueError) as error:  # an extra
        raise ConfigError(f"{settings.source('redis')}: redis: {error}") from error
    return bus


def _hook(settings: Settings, name: str) -> Any:
    value = settings[name]
    return None if value is None else load_hook(value, f"{settings.source(name)}: {name}")


def _check_lan(settings: Settings) -> None:
    try:
        from peerjs_trio.lan.announce import check_announced

        check_announced(settings["lan_name"], f"/{settings['path'].strip('/')}")
    except ImportError as error:  # an extra
        raise ConfigError(str(error)) from error
    except LocalProtocolError as error:
        raise ConfigError(f"lan: {error}") from error


def _import_metrics() -> None:
    try:
        import peerjs_trio.metrics  # noqa: F401 - whether it can be
    except ImportError as error:
        raise ConfigError(str(error)) from error
