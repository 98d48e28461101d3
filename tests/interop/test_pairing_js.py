"""peer-pair.js without a browser: byte for byte what the core makes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import peerjs_trio.page
from tests.interop.node_jobs import run_jobs
from tests.proto.test_pairing_vectors import PATH

SCRIPT = Path(__file__).with_name("js") / "pairing.mjs"
VECTORS: dict[str, Any] = json.loads(PATH.read_text("utf-8"))


@pytest.fixture(scope="module")
def modules(node_modules: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's modules beside npm's: Node has no import map, and looks there."""
    folder = tmp_path_factory.mktemp("page")
    for module in Path(*peerjs_trio.page.__path__).glob("*.js"):
        shutil.copy(module, folder)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "node_modules").symlink_to(node_modules)
    return folder


def test_every_vector_is_what_the_page_makes(node_modules: Path, modules: Path) -> None:
    first, handshakes = VECTORS["firstContact"], VECTORS["handshakes"]
    jobs = [
        {"what": "primitives", **VECTORS["primitives"]},
        {"what": "ids", **VECTORS["ids"]},
        *({"what": "handshake", **vector} for vector in handshakes),
        {"what": "contact", **first},
    ]
    primitives, ids, *shaken, contact = run_jobs(SCRIPT, node_modules, jobs, str(modules))
    assert VECTORS["primitives"] | primitives == VECTORS["primitives"]
    assert ids["ids"] == VECTORS["ids"]["ids"]
    for vector, made in zip(handshakes, shaken, strict=True):
        assert json.loads(made["response"]) == json.loads(vector["response"])
        assert made["next"] == vector["next"]
    assert json.loads(contact.pop("pake")) == json.loads(first["said"][2])
    assert json.loads(contact.pop("confirm")) == json.loads(first["said"][4])
    assert first | contact == first
