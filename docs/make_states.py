"""Writes docs/states.md from the tables in peerjs_proto/states.py.

``python docs/make_states.py`` writes it, ``--check`` fails if it is stale.
"""

from __future__ import annotations

import ast
import enum
import inspect
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from peerjs_proto import states

PAGE = Path(__file__).with_name("states.md")

INTRODUCTION = """\
# States

<!-- Made by docs/make_states.py from peerjs_proto/states.py: `nox -s states`. -->

Every state of the core, and all that leads from one to another. What has no arrow is misuse by
the caller and raises `LocalProtocolError`; what a remote side says at the wrong moment is no cue,
and changes nothing.
"""

SECTIONS: list[tuple[str, str, Mapping[Any, Mapping[Any, Any]]]] = [
    (
        "A peer and its server",
        "`PeerProtocol.session`. A page's `Peer` is *open* where this is `open`, *disconnected*\n"
        "where it is `lost`, and *destroyed* where it is `closed`.",
        states.SESSION_TRANSITIONS,
    ),
    (
        "A data connection",
        "From either side: a dial begins with `dial`, an OFFER that comes with `invite`.",
        states.DATA_TRANSITIONS,
    ),
    (
        "A data connection with redial",
        "Between two of our own peers: one that has been open does not end with its path.",
        states.REDIAL_TRANSITIONS,
    ),
    (
        "A media connection",
        "Negotiated as data is. Nothing has to arrive before its end, so it has fewer states.",
        states.MEDIA_TRANSITIONS,
    ),
]


def main(arguments: list[str]) -> int:
    """0, or 1 for a page that is stale."""
    page = INTRODUCTION + "".join(f"\n{text}" for section in SECTIONS for text in part(*section))
    if "--check" not in arguments:
        PAGE.write_text(page, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page:
        return 0
    print(f"{PAGE.name} is stale: run nox -s states", file=sys.stderr)
    return 1


def part(
    title: str, text: str, table: Mapping[enum.Enum, Mapping[enum.Enum, enum.Enum]]
) -> Iterator[str]:
    """One section of the page: what it is, the diagram, and the same in words."""
    yield f"## {title}\n\n{text}\n"
    yield f"```mermaid\nstateDiagram-v2\n{''.join(arrows(table))}```\n"
    yield f"| state | meaning | leads to |\n|---|---|---|\n{''.join(rows(table))}"


def arrows(table: Mapping[enum.Enum, Mapping[enum.Enum, enum.Enum]]) -> Iterator[str]:
    """One line a transition; several cues from one state to another share theirs."""
    for state in in_order(table):
        yield f'    state "{state.value}" as {state.name}\n'
    yield f"    [*] --> {in_order(table)[0].name}\n"
    for state in in_order(table):
        cues: dict[enum.Enum, list[str]] = {}
        for cue, to in table[state].items():
            cues.setdefault(to, []).append(cue.value)
        for to, names in cues.items():
            yield f"    {state.name} --> {to.name}: {', '.join(names)}\n"


def rows(table: Mapping[enum.Enum, Mapping[enum.Enum, enum.Enum]]) -> Iterator[str]:
    """One line a state."""
    meanings = docstrings(type(in_order(table)[0]))
    for state in in_order(table):
        ways = "; ".join(f"*{cue.value}* → {to.value}" for cue, to in table[state].items())
        yield f"| {state.value} | {meanings[state.name]} | {ways} |\n"


def in_order(table: Mapping[enum.Enum, Any]) -> list[enum.Enum]:
    """The states of a table as their enum has them."""
    return [state for state in type(next(iter(table))) if state in table]


def docstrings(states: type[enum.Enum]) -> dict[str, str]:
    """The strings under the members, which Python itself forgets."""
    (definition,) = ast.parse(inspect.getsource(states)).body
    assert isinstance(definition, ast.ClassDef)
    found: dict[str, str] = {}
    name = ""
    for statement in definition.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)]):
                pass
            case ast.Expr(value=ast.Constant(value=str(text))) if name:
                found[name] = text
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
