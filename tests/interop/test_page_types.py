"""The modules for pages: their types hold, inside and for who uses them in TypeScript."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Final

from peerjs_trio.page import page_modules

_MODULES: Final = Path(__file__).parents[2] / "peerjs_trio" / "page"
_USE: Final = Path(__file__).with_name("page") / "use.ts"

_OPTIONS: Final = {
    "noEmit": True,
    "allowJs": True,
    "checkJs": True,
    "strict": True,
    "noUncheckedIndexedAccess": True,
    "noUnusedLocals": True,
    "noUnusedParameters": True,
    "noImplicitReturns": True,
    "skipLibCheck": True,
    "target": "esnext",
    "module": "esnext",
    "moduleResolution": "bundler",
    "lib": ["esnext", "dom", "dom.iterable", "dom.asynciterable"],
    "types": [],
}


def test_the_types_hold(node_modules: Path, tmp_path: Path) -> None:
    paths = {
        "*": [str(node_modules / "*")],
        "peer-fetch": [str(_MODULES / "peer-fetch.js")],
    }
    files = [str(_USE), *map(str, sorted(_MODULES.glob("*.js")))]
    config = {"compilerOptions": {**_OPTIONS, "paths": paths}, "files": files}
    (tmp_path / "tsconfig.json").write_text(json.dumps(config))
    compiler = node_modules / "typescript" / "bin" / "tsc"
    done = subprocess.run(
        ["node", compiler, "-p", tmp_path],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert not done.stdout


def test_all_modules_are_served() -> None:
    modules = page_modules()
    assert set(modules) == {f"/{path.name}" for path in _MODULES.glob("*.js")}
    assert "/peer-fetch.js" in modules
    for path, reply in modules.items():
        assert reply.status == 200
        assert reply.body == (_MODULES / path[1:]).read_bytes()
        assert reply.content_type == "text/javascript; charset=utf-8"
