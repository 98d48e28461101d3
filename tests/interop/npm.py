"""The npm packages we must get on with, pinned, in a cache that git does not see."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

__all__ = ["PINS", "install_node_modules"]

PINS: Final = (
    "peerjs@1.5.5",
    "peer@1.0.2",
    "peerjs-js-binarypack@2.1.0",
    # What peer-pair.js is built on.
    "@noble/curves@2.4.0",
    "@noble/hashes@2.4.0",
    # Other versions stand beside these under names of their own.
    "peerjs-1.3@npm:peerjs@1.3.2",
    "peerjs-1.4@npm:peerjs@1.4.7",
    "peerjs-1.5.0@npm:peerjs@1.5.0",
    "peerjs-2.0@npm:peerjs@2.0.0-beta.3",
    "peer-0.6@npm:peer@0.6.1",
    # Checks the JSDoc of our modules for pages.
    "typescript@5.9.3",
)

_REPOSITORY: Final = Path(__file__).resolve().parents[2]


def install_node_modules() -> Path:
    """The ``node_modules`` directory with :data:`PINS` in it, installed on first use.

    Raises FileNotFoundError where there is no npm.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm is missing: install Node.js 20 or newer, with npm")
    pins = hashlib.sha256("\n".join(PINS).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("PEERJS_TEST_CACHE", _REPOSITORY / ".cache"))
    complete = cache / f"npm-{pins}"
    if not complete.exists():
        cache.mkdir(parents=True, exist_ok=True)
        _install(npm, complete)
    return complete / "node_modules"


def _install(npm: str, complete: Path) -> None:
    # Beside its final place, so that the rename is atomic: what exists is complete.
    with tempfile.TemporaryDirectory(dir=complete.parent, prefix="npm-new-") as scratch:
        fresh = Path(scratch) / "install"
        fresh.mkdir()
        # A package.json of its own: without one, npm looks for a project in the parents.
        (fresh / "package.json").write_text('{"private": true}')
        flags = ["--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run([npm, "install", *flags, *PINS], cwd=fresh, check=True, timeout=600)
        try:
            fresh.rename(complete)
        except OSError:
            # A run beside ours was faster; its directory is as good.
            if not complete.exists():
                raise
            shutil.rmtree(fresh)
