"""Every option of ``peerjs serve``, once: the command line, the environment, the file and
docs/server-options.md are made from this table.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any, Final

import attrs

from peerjs_proto.endpoint import DEFAULT_KEY
from peerjs_proto.server_io import DEFAULT_SERVER_LIMITS, ServerLimits

from .kinds import (
    FLAG,
    HOOK,
    MILLISECONDS,
    PATH,
    PORT,
    PROXIES,
    SECONDS,
    TABLE,
    TEXT,
    TEXTS,
    Kind,
    choice,
    number,
)

__all__ = ["GROUPS", "OPTIONS", "Group", "Option", "add_arguments"]


@attrs.frozen
class Option:
    """One option, under one name everywhere.

    On the command line ``--expire-timeout`` or ``--expire_timeout``, in the environment
    ``PEERSERVER_EXPIRE_TIMEOUT``, and ``expire_timeout`` in the file.
    """

    name: str
    kind: Kind
    default: Any
    "As it would stand in the file; None where there is none."
    help: str
    short: str | None = None
    "The letter that npm's has for it."
    implied: str | None = None
    "What its name alone on the command line stands for."
    table: str = ""
    "Of the file, that it is in."

    @property
    def variable(self) -> str | None:
        """Of the environment."""
        return None if self.kind is TABLE else f"PEERSERVER_{self.name.upper()}"

    @property
    def flag(self) -> str | None:
        """On the command line."""
        return None if self.kind is TABLE else f"--{self.name.replace('_', '-')}"


@attrs.frozen
class Group:
    """Options that have to do with each other, under a heading."""

    title: str
    text: str
    options: tuple[Option, ...]


def _flag(name: str, help: str) -> Option:
    return Option(name, FLAG, False, help, implied="true")


def _limit(name: str, help: str) -> Option:
    """A field of ServerLimits. Why its default is what it is stands there."""
    type = str(attrs.fields_dict(ServerLimits)[name].type)
    kind = number("NUMBER", whole="float" not in type, none="None" in type)
    return Option(name, kind, getattr(DEFAULT_SERVER_LIMITS, name), help, table="limits")


GROUPS: Final = (
    Group(
        "As npm's peer has them",
        "Names, letters and units are those of npm peer 1.0.2: these two timeouts are in "
        "milliseconds, and all else that takes time is in seconds.",
        (
            Option("host", TEXT, "::", "address to listen on; :: is all of them", "H"),
            Option(
                "port", PORT, 9000, "port; 0 takes a free one; PORT in the environment too", "p"
            ),
            Option("key", TEXT, DEFAULT_KEY, "key that clients must present", "k"),
            Option("path", TEXT, "/", "path everything is under"),
            Option(
                *("proxied", PROXIES, False),
                "behind proxies: believe what they say of their clients' addresses; the networks "
                "they are in, or nothing for private ones",
                implied="true",
            ),
            Option(
                *("expire_timeout", MILLISECONDS, 5000),
                "milliseconds that messages wait for an absent id",
                "t",
            ),
            Option(
                *("alive_timeout", MILLISECONDS, 60_000),
                "milliseconds without a message after which a client is gone",
            ),
            Option("concurrent_limit", number("NUMBER"), 5000, "clients at once", "c"),
            Option("sslkey", PATH, None, "private key for TLS, as PEM"),
            Option("sslcert", PATH, None, "certificate for TLS with its chain, as PEM"),
            _flag("allow_discovery", "let anyone list the ids of all peers"),
            Option("cors", TEXTS, None, "origins of the pages that may ask; any if not given"),
        ),
    ),
    Group(
        "Who may do what",
        "",
        (
            Option("reserved", TABLE, None, "tokens by the ids that only they can register"),
            Option("reserved_file", PATH, None, "the same in a file of its own, as TOML"),
            Option(
                *("authorize", HOOK, None),
                "your async function of Credentials and headers: whether a client may register",
            ),
            Option(
                *("may_offer", HOOK, None),
                "your function of two ids: whether the first may dial the second",
            ),
            Option("generate_client_id", HOOK, None, "your function that makes the ids given out"),
        ),
    ),
    Group(
        "Rooms",
        "",
        (
            _flag("rooms", "let peers at one public address find each other, as ambianic-pnp does"),
            _flag("named_rooms", "let them join rooms by any name as well"),
            Option(
                *("room_secret_file", PATH, None),
                "the secret that rooms are made of; made where it is missing",
            ),
        ),
    ),
    Group(
        "On the local network",
        "Who is there finds the server without an address: [Without internet](lan.md).",
        (
            _flag("lan", 'announce it, for open_peer(server="lan")'),
            Option(
                "lan_name",
                TEXT,
                None,
                "its name there, which no other has; made of this machine's if not given",
            ),
        ),
    ),
    Group(
        "More processes and machines",
        "Addresses, and what is kept where, are in [Several servers](cluster.md).",
        (
            Option("redis", TEXT, None, "URL of the Redis by which servers are as one"),
            Option("redis_name", TEXT, "default", "of those that are, on one Redis"),
            Option(
                *("redis_lease", SECONDS, 15),
                "seconds until a server that is not heard of is taken for dead; the same for all",
            ),
            Option("workers", number("NUMBER", most=255), 1, "processes that share the port"),
        ),
    ),
    Group(
        "Seen from outside",
        "",
        (
            _flag("metrics", "serve /metrics for Prometheus, on the same port"),
            Option("metrics_port", PORT, None, "serve it on this port instead"),
            Option("metrics_host", TEXT, "127.0.0.1", "address of that port"),
            Option("log_format", choice("text", "json"), "text", "of the lines on standard error"),
            Option(
                *("log_level", choice("debug", "info", "warning", "error"), "info"),
                "info has every client, warning what is refused",
            ),
            Option("stop_timeout", SECONDS, 5, "seconds for all clients to leave, at the end"),
        ),
    ),
    Group(
        "Limits",
        "What clients can make the server hold: sizes in bytes, times in seconds.",
        (
            _limit("message_bytes", "one message"),
            _limit("nesting", "depth of lists and maps in a message"),
            _limit("id_length", "letters of an id"),
            _limit("token_length", "letters of a token"),
            _limit("waiting_messages", "messages that wait for one absent id"),
            _limit("waiting_bytes", "the same in bytes"),
            _limit("waiting_destinations", "absent ids that messages wait for"),
            _limit("waiting_messages_in_all", "messages that wait for any absent id"),
            _limit("waiting_bytes_in_all", "the same in bytes"),
            _limit("messages_per_second", "of one client, on average; a faster one is read slower"),
            _limit("message_burst", "the same at once, after a rest"),
            _limit(
                "messages_per_second_from_network",
                "of all clients in one network: an IPv4 address, or an IPv6 /64",
            ),
            _limit("message_burst_from_network", "the same at once"),
            _limit("connections_per_network", "clients in one network"),
            _limit("id_lease", "for how long an id that was given out is kept for its network"),
            _limit("id_leases", "ids that are kept at once"),
            _limit("room_members", "clients in one room"),
            _limit("rooms_per_client", "rooms that one client is in"),
            _limit("room_name_length", "letters of a room's name"),
            _limit("sockets", "TCP connections, registered or not"),
            _limit("backlog_bytes", "unsent bytes for one slow client"),
            _limit("send_timeout", "for how long a backlog may stand still"),
            _limit("head_bytes", "head of an HTTP request"),
            _limit("head_timeout", "until the head of a request is there"),
            _limit("ping_interval", "silence after which a client is sent a WebSocket ping"),
            _limit("close_timeout", "for the far side to answer a close"),
        ),
    ),
)
"""In the order of the help."""

OPTIONS: Final = tuple(option for group in GROUPS for option in group.options)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One argument an option; each is left out of the result where it was not given.

    They stay texts: the command line is read as the environment is.
    """
    for group in GROUPS:
        section = parser.add_argument_group(group.title, group.text or None)
        for option in group.options:
            for arguments, settings in _arguments(option):
                section.add_argument(
                    *arguments, dest=option.name, default=argparse.SUPPRESS, **settings
                )


def _arguments(option: Option) -> Iterator[tuple[list[str], dict[str, Any]]]:
    if option.flag is None:
        return
    takes: dict[str, Any] = {"metavar": option.kind.word or "true|false"}
    if option.implied is not None:
        takes |= {"nargs": "?", "const": option.implied}
    if option.kind is TEXTS:
        takes |= {"nargs": "+", "action": "extend"}
    shown = [option.flag, *([f"-{option.short}"] if option.short else [])]
    default = "" if option.default in (None, False) else f" (default: {option.default})"
    yield shown, takes | {"help": option.help + default}
    # What npm's takes beside that is not in the help: it would double it.
    hidden = {"help": argparse.SUPPRESS}
    if "_" in option.name:
        yield [f"--{option.name}"], takes | hidden
    if option.implied is not None:
        names = dict.fromkeys((option.name.replace("_", "-"), option.name))
        yield (
            [f"--no-{name}" for name in names],
            {"action": "store_const", "const": "false"} | hidden,
        )
