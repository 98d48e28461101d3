"""Where a Redis is: one server, one that Sentinels watch over, or a Cluster."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs
import coredis
from coredis.connection import TCPLocation
from coredis.retry import NoRetryPolicy

__all__ = ["Client", "RedisAddress"]

Client = coredis.Redis[Any] | coredis.RedisCluster[Any]


@attrs.frozen
class RedisAddress:
    """An address as it is given to ``--redis``; :meth:`parse` says which there are."""

    kind: str
    "``redis``, ``unix``, ``sentinel`` or ``cluster``."
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    "Of a Unix socket."
    service: str = ""
    "What the Sentinels call it."
    db: int = 0
    username: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    sentinel_username: str | None = None
    sentinel_password: str | None = attrs.field(default=None, repr=False)
    tls: Mapping[str, str] | None = None
    "None without TLS; else ``ca``, ``cert``, ``key`` and ``verify``, where they were given."

    @classmethod
    def parse(cls, url: str) -> RedisAddress:
        """Read one of these, user and password in percent encoding::

            redis://user:password@host:6379/0
            rediss://host:6379/0?ca=FILE&cert=FILE&key=FILE&verify=no
            unix:///run/redis.sock?db=0
            redis+sentinel://host:26379,host:26379/service/0?sentinel_password=…
            redis+cluster://host:6379,host:6379

        ``rediss+sentinel`` and ``rediss+cluster`` are the same with TLS, which verifies the
        server's certificate unless ``verify=no``.

        Raises:
            ValueError: it is none of them. The text does not repeat it: it may bear a password.
        """
        scheme, _, rest = url.partition("://")
        if scheme not in _KINDS:
            raise ValueError(f"a Redis address begins with one of {_SCHEMES}")
        # urlsplit knows of one host only.
        netloc, *tail = rest.replace("?", "/?", 1).split("/", 1)
        login, _, hosts = netloc.rpartition("@")
        split = urlsplit(f"//host/{tail[0] if tail else ''}")
        options = dict(parse_qsl(split.query, keep_blank_values=True))
        username, _, password = login.partition(":")
        path = unquote(split.path).rstrip("/")
        kind, is_secure = _KINDS[scheme]
        service, db = "", options.pop("db", "")
        if kind == "unix":
            if not path:
                raise ValueError("the address of a Redis socket has its path: unix:///run/…")
        elif kind == "sentinel":
            _, service, *dbs = [*path.split("/"), ""][:3]
            db = db or "".join(dbs)
            if not service:
                raise ValueError("a Sentinel address ends with the service: …/mymaster/0")
        else:
            db = db or path.strip("/")
        if not (db or "0").isdecimal() or (kind == "cluster" and int(db or "0")):
            raise ValueError("the database in a Redis address is a number; a Cluster has only 0")
        tls: dict[str, str] = {name: options.pop(name) for name in _TLS_OPTIONS if name in options}
        sentinel_username = options.pop("sentinel_username", None)
        sentinel_password = options.pop("sentinel_password", None)
        if options or (tls and not is_secure):
            raise ValueError("an option in the Redis address that does not belong there")
        return cls(
            kind,
            () if kind == "unix" else _hosts(hosts, kind),
            path if kind == "unix" else "",
            service,
            int(db or "0"),
            unquote(username) or None,
            unquote(password) or None,
            sentinel_username,
            sentinel_password,
            tls if is_secure else None,
        )

    def __str__(self) -> str:
        """For people and logs: without the password."""
        if self.kind == "unix":
            return f"unix://{self.path}"
        names = ",".join(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts
        )
        scheme = "redis" if self.tls is None else "rediss"
        if self.kind == "redis":
            return f"{scheme}://{names}/{self.db}"
        tail = f"/{self.service}/{self.db}" if self.kind == "sentinel" else ""
        return f"{scheme}+{self.kind}://{names}{tail}"

    @asynccontextmanager
    async def open(self, patience: float) -> AsyncIterator[Client]:
        """A client for the length of the block; nothing is tried twice.

        Args:
            patience: Seconds for connecting, and for each answer.
        """
        options: dict[str, Any] = {
            "username": self.username,
            "password": self.password,
            "stream_timeout": patience,
            "connect_timeout": patience,
            "pool_timeout": 2 * patience,
            "retry_policy": NoRetryPolicy(),
        }
        if self.tls is not None:
            options["ssl_context"] = self._ssl_context()
        if self.kind == "cluster":
            nodes = [TCPLocation(*host) for host in self.hosts]
            async with coredis.RedisCluster(startup_nodes=nodes, **options) as cluster:
                yield cluster
        elif self.kind == "sentinel":
            del options["pool_timeout"]
            locations = [TCPLocation(*host) for host in self.hosts]
            login = {"username": self.sentinel_username, "password": self.sentinel_password}
            kwargs = {name: options[name] for name in _SENTINEL_OPTIONS if name in options} | login
            async with (
                coredis.Sentinel(locations, sentinel_kwargs=kwargs, **options) as sentinel,
                sentinel.primary_for(self.service, db=self.db) as primary,
            ):
                yield primary
        else:
            options["db"] = self.db
            if self.kind == "unix":
                client = coredis.Redis(unix_socket_path=self.path, **options)
            else:
                ((host, port),) = self.hosts
                client = coredis.Redis(host, port, **options)
            async with client:
                yield client

    def _ssl_context(self) -> ssl.SSLContext:
        assert self.tls is not None
        context = ssl.create_default_context(cafile=self.tls.get("ca"))
        if "cert" in self.tls:
            context.load_cert_chain(self.tls["cert"], self.tls.get("key"))
        if self.tls.get("verify") == "no":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _hosts(text: str, kind: str) -> tuple[tuple[str, int], ...]:
    hosts = []
    for name in text.split(","):
        try:
            split = urlsplit(f"//{name}")
            hosts.append((split.hostname or "", split.port or _PORTS[kind]))
        except ValueError:
            raise ValueError("a host in the Redis address has no valid port") from None
    if not all(host for host, _ in hosts):
        raise ValueError("a Redis address names a host")
    if kind == "redis" and len(hosts) > 1:
        raise ValueError("several hosts are redis+sentinel:// or redis+cluster://")
    return tuple(hosts)


_KINDS: Final = {
    "redis": ("redis", False),
    "rediss": ("redis", True),
    "unix": ("unix", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
_SCHEMES: Final = ", ".join(f"{scheme}://" for scheme in _KINDS)
_PORTS: Final = {"redis": 6379, "sentinel": 26379, "cluster": 6379}
_TLS_OPTIONS: Final = ("ca", "cert", "key", "verify")
_SENTINEL_OPTIONS: Final = ("stream_timeout", "connect_timeout", "ssl_context")
