"""Who may import whom: the rules of the house, read from the imports themselves."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Time, ids and randomness come in as arguments; I/O stays outside.
IMPURE = {
    *("asyncio", "trio", "anyio", "socket", "ssl", "time", "random", "secrets", "uuid", "os"),
    *("threading", "logging", "select", "selectors", "subprocess", "signal", "multiprocessing"),
    *("concurrent", "tempfile", "pathlib", "io", "http", "queue"),
}

# Inside peerjs_proto, a module imports only from what stands before it.
ORDER = [
    "errors",
    "backoff",
    "deadlines",
    "limits",
    "jsontext",
    "extension",
    "messages",
    "versions",
    "addresses",
    "endpoint",
    "binaryforms",
    "unpacker",
    "packer",
    "binarypack",
    "binarypack10",
    "chunks",
    "serializer",
    "controls",
    "journal",
    "keepalive",
    "msgpack_stream",
    "serialization",
    "states",
    "sdp",
    "events",
    "commands",
    "outbox",
    "session",
    "negotiation",
    "data",
    "redial",
    "media",
    "connections",
    "factory",
    "routing",
    "peer",
    "proofs",
    "pair_texts",
    "handshake",
    "pair_keys",
    "pair_codes",
    "pake",
    "pairing",
    "server_io",
    "server_http",
    "admission",
    "rooms",
    "room_client",
    "rates",
    "clients",
    "waiting",
    "server",
    "cluster_io",
    "claims",
    "post",
    "cluster",
    "http_io",
    "http_frames",
    "http_streams",
    "http_connection",
    "http",
    "fence",
    "http_headers",
    "http_proxy_request",
    "http_proxy",
    "testing._hypothesis",
    "testing.mutations",
    "testing.values",
    "testing.messages",
    "testing.frames",
    "testing.operations",
    "testing.under_way",
    "testing.world",
    "testing",
]
APART = [
    *({"session", "negotiation"}, {"session", "data"}, {"session", "media"}, {"data", "media"}),
    *({"peer", "server"}, {"http", "http_proxy"}),
]

# Of libraries the core has attrs, and where an extra brings one, one module for it.
EXTRAS = {
    "msgpack_stream": {"msgpack"},
    "pake": {"spake2"},
    "testing._hypothesis": {"hypothesis"},
}

# Libraries that may be named in these modules of peerjs_trio alone.
CONFINED = {
    "asyncio": {
        *("guest_loop", "guest_stepped", "guest_thread"),
        *("rtc.session", "rtc.aiortc", "rtc.ice_servers", "rtc.wrtc", "rtc.backlog"),
        *("rtc.probe", "rtc.doctor"),
    },
    "aiortc": {"rtc.aiortc", "rtc.probe"},
    "aioice": {"rtc.aiortc", "rtc.probe"},
    "webrtc": {"rtc.wrtc"},
    "trio_websocket": {"websocket", "http.upstream_websocket"},
    "wsproto": {"websocket", "http.upstream_websocket", "http.tunnel_websocket"},
    "websockets": {"frames"},
    "h11": {
        *("websocket", "http.upstream_websocket"),
        *("http.tunnel_body", "http.tunnel_connection"),
        *("http.tunnel_guard", "http.tunnel_websocket"),
    },
    "httpx": {
        *("http.upstream", "http.upstream_body"),
        *("http.transport", "http.exchange", "http.faults", "http.client_websocket"),
        *("http.tunnel_connection", "cli.remote", "cli.fetch"),
        "cli.fetch.request",
    },
    "coredis": {"bus.addresses", "bus.redis"},
    "cryptography": {"tls"},
    "prometheus_client": {"metrics"},
    "zeroconf": {"lan.mdns"},
    "ifaddr": {"lan.mdns"},
}

# These run on asyncio as well.
WITHOUT_TRIO = ["asgi", "asgi_socket", "background", "hub", "server_options"]


def imports(path: Path, package: str) -> Iterator[str]:
    """Absolute names of all that a file imports, inside functions and TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1]
            start = ".".join(base) + "." if node.level else ""
            module = (start + (node.module or "")).rstrip(".")
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def modules(package: str) -> Iterator[tuple[str, Path, str]]:
    """Name inside the package, file, and the package that relative imports start from."""
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT / package).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        yield name, path, ".".join((package, *parts[:-1]))


CORE = list(modules("peerjs_proto"))
RUNTIME = list(modules("peerjs_trio"))


@pytest.mark.parametrize(("name", "path", "package"), CORE, ids=[m[0] for m in CORE])
def test_the_core_is_pure(name: str, path: Path, package: str) -> None:
    top = {module.split(".")[0] for module in imports(path, package)}
    assert not top & IMPURE
    assert top <= sys.stdlib_module_names | {"attrs", "peerjs_proto"} | EXTRAS.get(name, set())


@pytest.mark.parametrize(("name", "path", "package"), CORE, ids=[m[0] for m in CORE])
def test_the_core_never_asks_what_time_it_is(name: str, path: Path, package: str) -> None:
    # datetime is there for its values alone.
    clocks = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in {"now", "utcnow", "today"}
        and isinstance(node.value, ast.Name)
        and node.value.id in {"date", "datetime"}
    ]
    assert not clocks


@pytest.mark.parametrize(("name", "path", "package"), CORE, ids=[m[0] for m in CORE])
def test_imports_in_the_core_go_up_the_list_only(name: str, path: Path, package: str) -> None:
    if name == "":
        return
    assert name in ORDER, f"{name}: say in ORDER where it stands"
    used = {m.partition(".")[2] for m in imports(path, package) if m.startswith("peerjs_proto.")}
    used &= set(ORDER)
    assert all(ORDER.index(other) < ORDER.index(name) for other in used - {name}), used
    for pair in APART:
        assert not (name in pair and used & pair - {name})


@pytest.mark.parametrize(("name", "path", "package"), RUNTIME, ids=[m[0] for m in RUNTIME])
def test_the_runtime_uses_public_names_of_the_core(name: str, path: Path, package: str) -> None:
    for module in imports(path, package):
        if module.startswith("peerjs_proto"):
            assert not any(part.startswith("_") for part in module.split(".")), module


@pytest.mark.parametrize(("name", "path", "package"), RUNTIME, ids=[m[0] for m in RUNTIME])
def test_libraries_stay_in_their_modules(name: str, path: Path, package: str) -> None:
    for module in imports(path, package):
        top = module.split(".")[0]
        assert name in CONFINED.get(top, {name}), f"{name} imports {top}"


@pytest.mark.parametrize("name", WITHOUT_TRIO)
def test_what_runs_on_asyncio_too_does_without_trio(name: str) -> None:
    for module in imports(ROOT / "peerjs_trio" / f"{name}.py", "peerjs_trio"):
        top, *below = module.split(".")
        assert top != "trio"
        assert top != "peerjs_trio" or below[0] in WITHOUT_TRIO, module


@pytest.mark.parametrize("folder", ["proto", "sim"])
def test_tests_of_the_core_leave_the_runtime_alone(folder: str) -> None:
    for path in sorted((ROOT / "tests" / folder).glob("*.py")):
        used = imports(path, f"tests.{folder}")
        assert not any(module.startswith("peerjs_trio") for module in used), path


@pytest.mark.parametrize("path", sorted((ROOT / "tests" / "sim").glob("*.py")), ids=str)
def test_the_simulation_takes_the_core_and_attrs_alone(path: Path) -> None:
    top = {module.split(".")[0] for module in imports(path, "tests.sim")}
    assert top <= sys.stdlib_module_names | {"attrs", "peerjs_proto", "pytest", "tests"}
