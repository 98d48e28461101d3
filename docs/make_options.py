"""Writes docs/server-options.md from the table in peerjs_trio/cli/options.py.

``python docs/make_options.py`` writes it, ``--check`` fails if it is stale.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

from peerjs_proto.server_io import ServerLimits
from peerjs_trio.cli.kinds import TABLE, TEXTS
from peerjs_trio.cli.options import GROUPS, Group, Option

PAGE = Path(__file__).with_name("server-options.md")

INTRODUCTION = """\
# Options of `peerjs serve`

<!-- Made by docs/make_options.py from peerjs_trio/cli/options.py: `nox -s options`. -->

Each option has one name. On the command line `expire_timeout` is `--expire-timeout` or
`--expire_timeout`; in the environment `PEERSERVER_EXPIRE_TIMEOUT`; in the file of `--config FILE`,
which is TOML, `expire_timeout`. The command line wins over the environment, that over the file, and
that over the default.

A flag is set by its name, and unset by `--no-` and its name; `--allow_discovery=false` and
`PEERSERVER_ALLOW_DISCOVERY=false` do that too. Lists have spaces between on the command line and
commas in the environment. A variable that is empty counts as none. `PORT` counts for
`PEERSERVER_PORT`, as with npm's peer.

Beside these there are `--config FILE` (`PEERSERVER_CONFIG`), and `--check`, which validates
everything and ends without serving.

[A PeerServer of your own](server.md) says what to do with them.
"""


def main(arguments: list[str]) -> int:
    """0, or 1 for a page that is stale."""
    page = INTRODUCTION + "".join(text for group in GROUPS for text in part(group))
    if "--check" not in arguments:
        PAGE.write_text(page, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page:
        return 0
    print(f"{PAGE.name} is stale: run nox -s options", file=sys.stderr)
    return 1


def part(group: Group) -> Iterator[str]:
    """One section of the page."""
    yield f"\n## {group.title}\n\n"
    if group.text:
        yield f"{group.text}\n\n"
    if all(option.table == "limits" for option in group.options):
        reasons = docstrings(ServerLimits)
        yield "In the file they stand in the table `[limits]`.\n\n"
        yield "| option | default | what | why as much |\n|---|---|---|---|\n"
        for option in group.options:
            why = reasons[option.name].replace("\n", " ")
            yield f"| `{option.name}` | {number(option.default)} | {option.help} | {why} |\n"
        return
    yield "| option | takes | default | what |\n|---|---|---|---|\n"
    for option in group.options:
        yield f"| {names(option)} | {takes(option)} | {default(option)} | {option.help} |\n"


def names(option: Option) -> str:
    """And the letter, if it has one."""
    return f"`{option.name}`" + (f", `-{option.short}`" if option.short else "")


def takes(option: Option) -> str:
    """What its values are."""
    if option.kind is TABLE:
        return "a table, in the file alone"
    if option.kind is TEXTS:
        return option.kind.allowed
    return option.kind.allowed.replace("|", "\\|")


def default(option: Option) -> str:
    """As one would write it."""
    match option.default:
        case None:
            return ""
        case bool(value):
            return str(value).lower()
        case str(value):
            return f"`{value}`"
        case value:
            return number(value)


def number(value: float) -> str:
    """As one would write it, without commas."""
    return f"{value:.15g}"


def docstrings(definition: type) -> dict[str, str]:
    """The strings under the attributes, which Python itself forgets, without Sphinx's markup."""
    (tree,) = ast.parse(inspect.getsource(definition)).body
    assert isinstance(tree, ast.ClassDef)
    found: dict[str, str] = {}
    name = ""
    for statement in tree.body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name)):
                pass
            case ast.Expr(value=ast.Constant(value=str(text))) if name:
                found[name] = plain(text)
    return found


def plain(text: str) -> str:
    """``:class:`~package.Name``` as ```Name```."""
    for piece in text.split(":class:`~")[1:]:
        whole = piece.partition("`")[0]
        text = text.replace(f":class:`~{whole}`", f"`{whole.rpartition('.')[2]}`")
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
