"""Our test page and npm's files, over HTTP on loopback.

Not ``file:``: a page needs a secure context for WebCrypto, and 127.0.0.1 counts as one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

__all__ = ["serve_site"]

_PAGE: Final = Path(__file__).with_name("page")
_MODULES: Final = Path(__file__).parents[2] / "peerjs_trio" / "page"


@contextmanager
def serve_site(node_modules: Path) -> Iterator[str]:
    """Serve for the length of the block; the URL is that of the test page."""
    handler = partial(_Handler, node_modules=node_modules)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="interop site")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


class _Handler(SimpleHTTPRequestHandler):
    """``/npm/…`` is node_modules, ``/page/…`` our modules, the rest the test page's directory."""

    def __init__(self, *args: Any, node_modules: Path) -> None:
        self._elsewhere = {"/npm/": node_modules, "/page/": _MODULES}
        super().__init__(*args, directory=str(_PAGE))

    def translate_path(self, path: str) -> str:
        for prefix, directory in self._elsewhere.items():
            if path.startswith(prefix):
                # The parent's own check against ".." serves for all roots.
                self.directory = str(directory)
                return super().translate_path(path.removeprefix(prefix.rstrip("/")))
        return super().translate_path(path)

    def guess_type(self, path: Any) -> str:
        # What .mjs is called depends on the machine's tables, and a module needs it right.
        return "text/javascript" if str(path).endswith(".mjs") else super().guess_type(path)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not news."""
