"""What every interop test starts from: npm's packages, a browser, and the page it loads.

One of each serves the whole session, so they are ordinary fixtures. Servers and tabs are
trio's: a test opens its own, with ``async with``.

Our own runtime is imported where it is used, and not above: the harness's own test must run
where the runtime does not even import.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.interop.chromium import Browser, run_chromium
from tests.interop.npm import install_node_modules
from tests.interop.npm_peer import open_npm_peer
from tests.interop.programs import find_program
from tests.interop.servers import StartServer, WhichServer
from tests.interop.site import serve_site

if TYPE_CHECKING:
    from peerjs_trio.rtc.choice import EngineName
    from tests.interop.ends import Pair


@pytest.fixture(scope="session")
def node_modules() -> Path:
    for program in ("node", "npm"):
        find_program(program, install="Node.js 20 or newer (Debian: apt install nodejs npm)")
    return install_node_modules()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with run_chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def site(node_modules: Path) -> Iterator[str]:
    with serve_site(node_modules) as url:
        yield url


@pytest.fixture(params=["npm", "ours"])
def which(request: pytest.FixtureRequest) -> WhichServer:
    """Runs the test once against each PeerServer."""
    server: WhichServer = request.param
    return server


@pytest.fixture
def start_server(which: WhichServer, request: pytest.FixtureRequest) -> StartServer:
    """``async with start_server(key=…) as server:`` starts the one whose turn it is."""
    if which == "npm":
        return partial(open_npm_peer, request.getfixturevalue("node_modules"))
    from peerjs_trio import open_server

    return open_server


@pytest.fixture(params=["aiortc", "wrtc"])
def engine(request: pytest.FixtureRequest) -> EngineName:
    """Runs the test once with each of our WebRTC engines."""
    name: EngineName = request.param
    return name


@pytest.fixture
async def pair(
    start_server: StartServer, browser: Browser, site: str, engine: EngineName
) -> AsyncIterator[Pair]:
    """A page and a Python peer, registered with one server."""
    from tests.interop.ends import open_pair

    async with start_server() as server, open_pair(server, browser, site, engine=engine) as pair:
        yield pair
