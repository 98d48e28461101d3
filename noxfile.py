"""What one does with this repository: ``nox -s demo``, ``nox -s tests``, ``nox --list``.

Versions are in pyproject.toml, under ``[dependency-groups]``.
"""

from __future__ import annotations

import os
import platform
import shutil

import nox

nox.needs_version = ">=2025.2.9"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "core", "tests"]

PYPROJECT = nox.project.load_toml("pyproject.toml")

CHECKED = [
    *("peerjs_proto", "peerjs_trio", "tests", "examples", "bench", "fuzz"),
    *(
        "docs/conf.py",
        "docs/make_options.py",
        "docs/make_speed.py",
        "docs/make_states.py",
        "docs/speed_plots.py",
    ),
    "noxfile.py",
]

BROWSER = {"chromium": "chromium", "node": "nodejs", "npm": "npm"}
"""Programs that the browser tests need, and Debian's packages of them."""

NETWORK = {"turnserver": "coturn", "ip": "iproute2", "nft": "nftables"}
"""The same for the tests of STUN, TURN and NAT."""

REDIS = {"redis-server": "redis-server", "redis-cli": "redis-tools"}
"""The same for the tests of several PeerServers."""


@nox.session
def demo(session: nox.Session) -> None:
    """See it work: two Python peers, then a page in your browser. Arguments after --."""
    session.install("-e", ".[cli]")
    # Ctrl-C reaches the demo as well: it needs a moment to close its connections.
    session.run("python", "-m", "peerjs_trio", "demo", *session.posargs, interrupt_timeout=10)


@nox.session
def tests(session: nox.Session) -> None:
    """The whole test suite, with a browser. Arguments after -- go to pytest."""
    provide(session, BROWSER | NETWORK | REDIS)
    session.install("-e", ".[all]", *group("test"))
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def core(session: nox.Session) -> None:
    """The tests of peerjs_proto, where there is nothing but attrs, pytest and hypothesis."""
    session.install("-e", ".", *group("core"))
    session.run("python", "-m", "pytest", "tests/proto", *session.posargs)


@nox.session
def sim(session: nox.Session) -> None:
    """Simulate peers, servers and what befalls them, 200 seeds.

    After --: --seeds 20000, --first 200, --jobs 2, --replay SEED, --scale.
    """
    session.install("-e", ".", *group("core"))
    session.run("python", "-m", "tests.sim", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Fuzz the core, a minute a target. After --: --seconds 5, --jobs 2, names of targets."""
    session.install("-e", ".[msgpack,pairing]", *group("fuzz"))
    session.run("python", "-m", "fuzz", *session.posargs)


@nox.session
def differential(session: nox.Session) -> None:
    """BinaryPack beside npm's, 200,000 random cases. After --: --cases 1000000, --seed 7."""
    provide(session, BROWSER)
    session.install("-e", ".[msgpack]", *group("core"))
    session.run("python", "-m", "tests.interop.differential", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Every line and branch of the core is reached by its own tests; less is a failure."""
    session.install("-e", ".[msgpack,pairing]", *group("coverage"))
    session.run("coverage", "run", "-m", "pytest", "tests/proto", "-q", *session.posargs)
    session.run("coverage", "report")


@nox.session
def mutation(session: nox.Session) -> None:
    """Change the core a little in a thousand ways: what do its tests notice?"""
    session.install("-e", ".[msgpack]", *group("mutation"))
    session.run("mutmut", "run", *session.posargs)
    session.run("mutmut", "results")


@nox.session
def bench(session: nox.Session) -> None:
    """How fast it is: the core beside Node, connections beside bare engines and browsers.

    After --: names of tables, --json FILE, --quick.
    """
    provide(session, BROWSER | REDIS)
    session.install("-e", ".[all]", *group("test"))
    session.run("python", "-m", "bench", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """One fault after the other before peerjs.js and ours: what users see, and when.

    Ten minutes, most of them spent watching peerjs.js do nothing. Arguments after -- go to pytest.
    """
    provide(session, BROWSER)
    session.install("-e", ".[all]", *group("test"))
    session.run("python", "-m", "pytest", "tests/interop/faults", "--by-hand", *session.posargs)


@nox.session
def attacks(session: nox.Session) -> None:
    """Attack our PeerServer and npm's: what becomes of them, and in how much memory.

    After --: parts of names, --server ours, --write for docs/attacks.md.
    """
    provide(session, BROWSER)
    session.install("-e", ".[all]", *group("test"))
    session.run("python", "-m", "tests.attacks", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Connect and close, and lose the server, for an hour and more: does anything grow?

    After --: --engine wrtc, --connects 1000, --minutes 30, --every 20.
    """
    session.install("-e", ".[all]", *group("test"))
    session.run("python", "-m", "tests.soak", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation, in docs/_build/html; every warning is an error."""
    session.install("-e", ".[all,testing]", *group("docs"))
    options = ["-W", "--keep-going", "-n", "-b", "html"]
    session.run("python", "-m", "sphinx", *options, "docs", "docs/_build/html", *session.posargs)


@nox.session
def speed(session: nox.Session) -> None:
    """Make docs/speed.md and its plots from docs/speed.json. ``-- --check`` draws nothing."""
    session.install(*group("plots"))
    session.run("python", "docs/make_speed.py", *session.posargs)


@nox.session
def states(session: nox.Session) -> None:
    """Make docs/states.md from the tables. ``-- --check`` fails if it is stale."""
    session.install("-e", ".")
    session.run("python", "docs/make_states.py", *session.posargs)


@nox.session
def options(session: nox.Session) -> None:
    """Make docs/server-options.md from their table. ``-- --check`` fails if it is stale."""
    session.install("-e", ".[server]")
    session.run("python", "docs/make_options.py", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Rules and format of the code."""
    session.install(*group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """mypy and pyright, over everything."""
    session.install("-e", ".[all]", *group("types"))
    session.run("mypy", "--strict", *CHECKED)
    session.run("pyright", *CHECKED)


def group(name: str) -> tuple[str, ...]:
    """The requirements of a dependency group."""
    return nox.project.dependency_groups(PYPROJECT, name)


def provide(session: nox.Session, programs: dict[str, str]) -> None:
    """Install what is missing of these where we may, else say what to install."""
    missing = [package for program, package in programs.items() if not shutil.which(program)]
    if not missing:
        return
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    if is_debian() and os.geteuid() == 0:
        environment = {"DEBIAN_FRONTEND": "noninteractive"}
        session.run("apt-get", "update", external=True, env=environment)
        session.run(*command, external=True, env=environment)
        return
    fate = "will fail" if os.environ.get("CI") == "true" else "will be skipped"
    session.warn(
        f"Some tests {fate}: they need {', '.join(programs)}. On Debian: {' '.join(command)}; "
        "elsewhere: Chromium as 'chromium', Node.js 20, coturn, iproute2, nftables and Redis 7."
    )


def is_debian() -> bool:
    """Whether apt-get has them by these names; Ubuntu's chromium is a snap."""
    try:
        return platform.freedesktop_os_release()["ID"] == "debian"
    except OSError:
        return False  # another kind of system
