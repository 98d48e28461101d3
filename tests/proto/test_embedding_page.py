"""What docs/embedding.md says: its code prints what stands below it, its tables are complete."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest

from peerjs_proto import PeerProtocol, commands, events
from tests.readme import ROOT, blocks

PAGE: Final = ROOT / "docs" / "embedding.md"


def test_the_code_prints_what_stands_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    # One program in pieces: each goes on where the one before has stopped.
    namespace: dict[str, Any] = {}
    for block in blocks("python", PAGE):
        code = compile("\n" * (block.line - 1) + block.code, PAGE, "exec")
        exec(code, namespace)
        assert capsys.readouterr().out == (block.output or ""), f"line {block.line}"


@pytest.mark.parametrize("module", [commands, events], ids=["commands", "events"])
def test_the_tables_are_complete(module: Any) -> None:
    listed = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.M)
    known = [name for name in module.__all__ if isinstance(getattr(module, name), type)]
    assert set(known) <= set(listed)
    assert len(listed) == len(set(listed))


def test_every_input_is_named() -> None:
    text = PAGE.read_text(encoding="utf-8")
    public = [name for name in vars(PeerProtocol) if not name.startswith("_")]
    assert [name for name in public if not re.search(rf"\b{name}\b", text)] == []


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https:)([^)]+)\)", PAGE.read_text(encoding="utf-8"))
    assert links
    assert all((PAGE.parent / link).exists() for link in links)
