"""``peerjs serve`` and those who run it: signals, systemd, health, metrics."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio
import trustme

from tests.trio.certificates import Files, write
from tests.trio.server_clients import RawClient, fetch, frame, open_client, open_raw, open_tcp
from tests.trio.serving import COMMAND, Serving, run_peerjs, serving

pytestmark = pytest.mark.trio


# --- stopping --------------------------------------------------------------------------------


async def is_served(running: Serving) -> bool:
    """Whether a newcomer gets any answer."""
    try:
        async with open_tcp(running) as stream:
            await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            return bool(await stream.receive_some())
    except OSError:
        return False
    except trio.BrokenResourceError:
        return False


async def goodbye(client: RawClient) -> bool:
    """Whether what comes next is the server's close frame; it stays without an answer."""
    opcode, data = await client.receive_frame() or (0, b"")
    return opcode == 8 and data.startswith((1001).to_bytes(2, "big"))


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
async def test_it_says_goodbye_and_takes_nobody_in_meanwhile(stop: signal.Signals) -> None:
    async with (
        serving("--stop-timeout", "60") as running,
        open_client(running, "alice") as alice,
        open_raw(running, "bob") as bob,
    ):
        assert (await alice.receive())["type"] == "OPEN"
        await alice.send("OFFER", "bob", "sdp")
        assert (await bob.receive())["type"] == "OFFER"
        assert await is_served(running)
        running.process.send_signal(stop)
        # No LEAVE, and nothing else either; bob has not answered yet, so it is not over.
        assert await goodbye(bob)
        assert (await alice.closed())[0] == 1001
        assert not await is_served(running)
        await bob.send(frame(8, (1001).to_bytes(2, "big")))
        assert await running.ended() == 0
        assert (await running.says("stopping"))["clients"] == 2
        assert [line["reason"] for line in running.said if line.get("event") == "gone"] == [
            "shutdown",
            "shutdown",
        ]
        await running.says("stopped")


async def test_a_client_that_does_not_answer_is_waited_for_no_longer_than_that() -> None:
    async with (
        serving("--stop-timeout", "0.1", "--close-timeout", "60") as running,
        open_raw(running, "alice") as alice,
    ):
        running.process.terminate()
        assert await running.ended() == 0
        assert await goodbye(alice)


async def test_a_second_signal_ends_it_at_once() -> None:
    async with (
        serving("--stop-timeout", "60", "--close-timeout", "60") as running,
        open_raw(running, "alice") as alice,
    ):
        running.process.terminate()
        assert await goodbye(alice)
        running.process.terminate()
        assert await running.ended() == -signal.SIGTERM


# --- SIGHUP ----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "fullchain.pem", tmp_path / "privkey.pem")


async def handshake(running: Serving, authority: trustme.CA) -> trio.SSLStream[trio.SocketStream]:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    tcp = await trio.open_tcp_stream(running.host, running.port)
    stream = trio.SSLStream(tcp, context, server_hostname="localhost")
    with trio.fail_after(10):
        await stream.do_handshake()
    return stream


async def expiry(running: Serving, authority: trustme.CA) -> str:
    """The year that the server's certificate ends in."""
    async with await handshake(running, authority) as stream:
        return str(stream.getpeercert()["notAfter"]).split()[3]


async def answers(stream: trio.SSLStream[trio.SocketStream]) -> bool:
    await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    with trio.fail_after(10):
        return (await stream.receive_some()).startswith(b"HTTP/1.1 200")


async def test_sighup_renews_the_certificate(files: Files, authority: trustme.CA) -> None:
    write(files, authority, datetime(2100, 1, 1, tzinfo=UTC))
    tls = ("--sslcert", str(files.certificate), "--sslkey", str(files.key))
    async with serving(*tls) as running, await handshake(running, authority) as before:
        assert await expiry(running, authority) == "2100"
        write(files, authority, datetime(2101, 1, 1, tzinfo=UTC))
        running.process.send_signal(signal.SIGHUP)
        assert (await running.says("certificate_reloaded"))["expires"].startswith("2101-01-01")
        assert await expiry(running, authority) == "2101"
        assert await answers(before)

        files.certificate.write_bytes(b"nothing")
        running.process.send_signal(signal.SIGHUP)
        kept = await running.says("certificate_kept")
        assert kept["level"] == "error"
        assert kept["fault"].endswith("fullchain.pem: no certificate in PEM")
        assert kept["expires"].startswith("2101-01-01")
        assert await expiry(running, authority) == "2101"

        write(files, authority, datetime.now(UTC) + timedelta(days=5))
        running.process.send_signal(signal.SIGHUP)
        assert "expires on" in (await running.says("certificate"))["warning"]
        running.process.terminate()
        assert await running.ended() == 0


async def test_a_certificate_that_has_expired_is_said_at_the_start(
    files: Files, authority: trustme.CA
) -> None:
    write(files, authority, datetime(2020, 1, 1, tzinfo=UTC))
    tls = ("--sslcert", str(files.certificate), "--sslkey", str(files.key))
    async with serving(*tls) as running:
        said = await running.says("certificate")
        assert said["level"] == "warning"
        assert said["warning"] == "the certificate has expired on 2020-01-01"


async def test_sighup_is_harmless_where_there_is_nothing_to_reload() -> None:
    async with serving() as running:
        running.process.send_signal(signal.SIGHUP)
        await running.says("nothing_to_reload")
        assert await is_served(running)


# --- systemd ---------------------------------------------------------------------------------


async def test_systemd_is_told(tmp_path: Path) -> None:
    with trio.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told, trio.fail_after(30):
        await told.bind(str(tmp_path / "notify"))
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        async with serving(environment=environment) as running:
            ready, status = (await told.recv(4096)).decode().split("\n")
            assert (ready, status[:15]) == ("READY=1", "STATUS=serving ")
            running.process.send_signal(signal.SIGHUP)
            reloading, when = (await told.recv(4096)).decode().split("\n")
            assert reloading == "RELOADING=1"
            assert when.startswith("MONOTONIC_USEC=")
            assert (await told.recv(4096)).startswith(b"READY=1")
            running.process.terminate()
            assert await told.recv(4096) == b"STOPPING=1"
            assert await running.ended() == 0


async def test_a_socket_of_systemds_outlives_the_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # As systemd starts a service: the socket is 3, and the variables name the process itself.
        start = (
            f"import os, sys; os.dup2({listener.fileno()}, 3); "
            "os.environ |= {'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '1'}; "
            "os.execv(sys.executable, sys.argv[1:])"
        )
        command = (sys.executable, "-c", start, *COMMAND)
        for _ in range(2):
            async with serving(command=command, pass_fds=(listener.fileno(),)) as running:
                assert running.port == listener.getsockname()[1]
                assert await is_served(running)
                running.process.terminate()
                assert await running.ended() == 0


# --- seen from outside -----------------------------------------------------------------------


async def test_health_is_asked_with_the_options_it_serves_with(
    files: Files, authority: trustme.CA
) -> None:
    write(files, authority)
    tls = ("--sslcert", str(files.certificate), "--sslkey", str(files.key))
    for options in ((), tls):
        async with serving(*options) as running:
            where = ("--host", running.host, "--port", str(running.port))
            async with run_peerjs("--health", *where, *options) as asking:
                assert await asking.ended() == 0
    async with run_peerjs("--health", *where) as asking:
        assert await asking.ended() == 1
        assert b"no answer" in asking.errors


async def test_metrics_are_on_the_port_or_on_one_of_their_own() -> None:
    async with serving() as running, open_tcp(running) as stream:
        assert (await fetch(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")).status == 404
    async with serving("--metrics") as running, open_client(running, "alice") as alice:
        await alice.receive()
        async with open_tcp(running) as stream:
            reply = await fetch(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"\npeerserver_clients 1.0\n" in reply.body
    async with serving("--metrics-port", "0") as running:
        port = (await running.says("metrics"))["port"]
        other = Serving(running.process, bytearray(), bytearray(), "127.0.0.1", port)
        async with open_tcp(other) as stream:
            reply = await fetch(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"\npeerserver_clients 0.0\n" in reply.body
        async with run_peerjs("--port", "0", "--metrics-port", str(port)) as second:
            assert await second.ended() == 1
            assert second.errors.decode().count("\n") == 1
            assert b"in use" in second.errors


# --- options ---------------------------------------------------------------------------------


async def test_check_says_whether_they_are_right(tmp_path: Path) -> None:
    file = tmp_path / "peerjs.toml"
    file.write_text("port = 9000\n")
    environment = {**os.environ, "PEERSERVER_CONFIG": str(file)}
    async with run_peerjs("--check", environment=environment) as checking:
        assert await checking.ended() == 0
    file.write_text('authorize = "nowhere:authorize"\n')
    async with run_peerjs("--check", "--config", str(file)) as checking:
        assert await checking.ended() == 2
        assert checking.errors.decode() == (
            f"peerjs serve: {file}: authorize: nowhere:authorize: "
            "ModuleNotFoundError: No module named 'nowhere'\n"
        )
