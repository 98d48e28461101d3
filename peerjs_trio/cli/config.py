"""What ``peerjs serve`` is told: by the command line, the environment, a file, in that order."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from .kinds import TABLE
from .options import OPTIONS, Option

__all__ = ["ConfigError", "Settings", "gather", "read_file"]

Given = Mapping[str, str | Sequence[str]]


class ConfigError(Exception):
    """A setting that is not allowed. The text says where it stands, and what is."""


@attrs.frozen
class Settings:
    """A value for every option, by its name; times in seconds whatever they were given in."""

    _values: Mapping[str, Any] = attrs.field(repr=False)  # tokens are among them
    _sources: Mapping[str, str]

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def source(self, name: str) -> str | None:
        """Where it was given, such as ``--port`` or ``PEERSERVER_PORT``; None for a default."""
        return self._sources.get(name)

    def table(self, name: str) -> dict[str, Any]:
        """All options of one table of the file."""
        return {o.name: self._values[o.name] for o in OPTIONS if o.table == name}


def gather(given: Given, environment: Mapping[str, str], file: Path | None = None) -> Settings:
    """Put them together.

    Args:
        given: Of the command line, the options that are there, as texts.
        environment: ``os.environ``.
        file: The configuration file, if there is one.

    Raises:
        ConfigError: for what is not allowed, unknown or cannot be read.
    """
    values = {o.name: None if o.default is None else o.kind.take(o.default) for o in OPTIONS}
    sources: dict[str, str] = {}
    found = read_file(file) if file is not None else {}
    for option in OPTIONS:
        if (text := given.get(option.name)) is not None:
            source = str(option.flag)
            # A list's items are one argument each.
            value = _read(option, source, text if isinstance(text, str) else " ".join(text))
        elif variable := _set_variable(option, environment):
            source = variable
            value = _read(option, source, environment[variable])
        elif option.name in found:
            source = str(file)
            value = found[option.name]
        else:
            continue
        values[option.name], sources[option.name] = value, source
    if values["reserved_file"] is not None:
        values["reserved"] = _reserved(Path(values["reserved_file"]), values["reserved"] or {})
    return Settings(values, sources)


def read_file(file: Path) -> dict[str, Any]:
    """The options in a configuration file, by their names."""
    found: dict[str, Any] = {}
    for key, value in _load(file).items():
        if key in _TABLES:
            if not isinstance(value, dict):
                raise ConfigError(f"{file}: {key} is a table: [{key}]")
            for name, inner in value.items():
                found[name] = _take(file, key, name, inner)
        else:
            found[key] = _take(file, "", key, value)
    return found


def _load(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            return tomllib.load(stream)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from error


def _take(file: Path, table: str, name: str, value: Any) -> Any:
    place = f"{file}: [{table}] {name}" if table else f"{file}: {name}"
    option = _BY_PLACE.get((table, name))
    if option is None:
        raise ConfigError(f"{place} is no option{_advice(table, name)}")
    try:
        return option.kind.take(value)
    except ValueError:
        raise _not_allowed(option, place, value) from None


def _read(option: Option, place: str, text: str) -> Any:
    try:
        return option.kind.read(text)
    except ValueError:
        raise _not_allowed(option, place, text) from None


def _not_allowed(option: Option, place: str, value: Any) -> ConfigError:
    # Tokens stay unsaid, and what has more than one value.
    hidden = option.kind is TABLE or isinstance(value, (dict, list))
    shown = "" if hidden else f", not {value!r}"
    return ConfigError(f"{place}: {option.kind.allowed}{shown}")


def _advice(table: str, name: str) -> str:
    """What may have been meant."""
    for other_table, other in _BY_PLACE:
        if other == name:
            return f" here: it stands in [{other_table}]" if other_table else " of this table"
    names = [other for other_table, other in _BY_PLACE if other_table == table]
    close = difflib.get_close_matches(name, names, 1)
    return f"; {close[0]} is" if close else "; docs/server-options.md has them all"


def _set_variable(option: Option, environment: Mapping[str, str]) -> str | None:
    # An empty one counts as none: that is how compose files leave something out.
    names = (option.variable, "PORT" if option.name == "port" else None)
    return next((name for name in names if name and environment.get(name)), None)


def _reserved(file: Path, others: Mapping[str, str]) -> dict[str, str]:
    option = _BY_PLACE["", "reserved"]
    content = _load(file)
    try:
        return {**others, **option.kind.take(content)}
    except ValueError:
        raise _not_allowed(option, str(file), content) from None


_BY_PLACE: Final = {(option.table, option.name): option for option in OPTIONS}
_TABLES: Final = {option.table for option in OPTIONS} - {""}
