"""The log of a server: one line an event, as ``key=value`` text or as JSON.

Ids are in it. Tokens, keys, payloads and request targets are not: no event has them.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, assert_never

import attrs

from peerjs_proto.server_io import (
    ClientGone,
    ClientRefused,
    ClientRegistered,
    MessageRefused,
    QueueExpired,
    ServerEvent,
)

__all__ = ["LOGGER", "EventLog", "log", "log_to_stderr"]

LOGGER: Final = logging.getLogger("peerjs.server")

_LINES_PER_SECOND: Final = 10
"Of one kind of refusal. More tell nobody more, and whoever is refused decides how many there are."


class EventLog:
    """An observer of a :class:`~peerjs_trio.hub.Hub`: says each event to :data:`LOGGER`.

    Of what others do wrong it says ten lines a second and kind, and how many it has left out.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows: dict[tuple[object, ...], _Window] = {}

    def __call__(self, event: ServerEvent) -> None:
        match event:
            case ClientRegistered(client, id, None):
                log(logging.INFO, "registered", id=id, client=client)
            case ClientRegistered(client, id, replaced):
                log(logging.INFO, "registered", id=id, client=client, replaces=replaced)
            case ClientGone(client, id, reason):
                log(logging.INFO, "gone", id=id, client=client, reason=_word(reason))
            case ClientRefused(client, reason):
                self._bounded(logging.WARNING, "refused", reason=_word(reason), client=client)
            case MessageRefused(client, id, fault):
                fields = {"reason": _word(fault), "id": id, "client": client}
                self._bounded(logging.WARNING, "message_refused", **fields)
            case QueueExpired(id, messages, senders):
                fields = {"id": id, "messages": messages, "senders": senders}
                self._bounded(logging.DEBUG, "expired", **fields)
            case _:
                assert_never(event)

    def _bounded(self, level: int, event: str, **fields: Any) -> None:
        now = self._clock()
        # Each reason has its own lines: a flood for one must not hide another.
        kind = {"of": event} | {n: value for n, value in fields.items() if n == "reason"}
        window = self._windows.setdefault(tuple(kind.values()), _Window(now))
        if now - window.since >= 1:
            if window.lines > _LINES_PER_SECOND:
                log(level, "left_out", lines=window.lines - _LINES_PER_SECOND, **kind)
            window.since, window.lines = now, 0
        window.lines += 1
        if window.lines <= _LINES_PER_SECOND:
            log(level, event, **fields)


@attrs.define
class _Window:
    since: float
    lines: int = 0


def log(level: int, event: str, **fields: Any) -> None:
    """One line of the log: what happened, and with whom."""
    if LOGGER.isEnabledFor(level):
        text = " ".join([event, *(f"{name}={_quoted(value)}" for name, value in fields.items())])
        LOGGER.log(level, "%s", text, extra={"event": event, "fields": fields})


def log_to_stderr(form: Literal["text", "json"], level: str) -> None:
    """Set Python's logging up for a program that is a server and nothing else.

    Of the libraries it shows warnings alone, whatever ``level`` is: what they say for debugging
    can have passwords in it.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if form == "json" else _Text())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for name in ("peerjs", "peerjs_trio"):
        logging.getLogger(name).setLevel(level.upper())


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        name = "" if hasattr(record, "event") else f"{record.name}: "
        text = f"{_time(record)} {record.levelname.lower()} {name}{record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {"time": _time(record), "level": record.levelname.lower()}
        fields: Mapping[str, Any] | None = getattr(record, "fields", None)
        if fields is not None:
            line |= {"event": getattr(record, "event", None), **fields}
        else:
            line |= {"logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _time(record: logging.LogRecord) -> str:
    when = datetime.fromtimestamp(record.created, UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _word(reason: Any) -> str:
    return str(reason.name).lower()


def _quoted(value: Any) -> str:
    """As it is where that cannot be misread; what clients choose cannot end the line."""
    text = str(value)
    return text if re.fullmatch(r"[\w.:/@+\[\]-]+", text, re.ASCII) else json.dumps(text)
