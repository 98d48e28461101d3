"""``peerjs doctor`` on a host that reaches the middle alone, and on one that reaches nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.nat.namespaces import Host, Network
from tests.nat.test_turn import V4, lay_wires, turn
from tests.nat.town import SECRET, serve
from tests.readme import ROOT


async def doctor(host: Host, arguments: Sequence[str]) -> tuple[int, dict[str, Any]]:
    """Its exit status, and what it found, by the names of the checks."""
    command = [sys.executable, "-m", "peerjs_trio", "doctor", "--json", *arguments]
    with trio.fail_after(60):
        done = await trio.run_process(
            host.command(*command), capture_stdout=True, check=False, cwd=ROOT
        )
    findings = json.loads(done.stdout)["findings"]
    return done.returncode, {finding["check"]: finding for finding in findings}


@pytest.mark.trio
async def test_it_makes_credentials_that_expire(network: Network, tmp_path: Path) -> None:
    alice, middle, _ = await trio.to_thread.run_sync(partial(lay_wires, network))
    async with serve(middle, V4, tmp_path) as url:
        given = ["--server", url, "--ice", turn(V4), "--username", "alice", "--secret"]
        status, found = await doctor(alice, [*given, SECRET])
        assert status == 0, found
        assert found["turn"]["facts"]["mapped"].startswith("10.77.1.2:")
        assert found["turn"]["facts"]["relayed"].startswith(f"{V4}:")
        assert found["interfaces"]["facts"]["addresses"] == ["10.77.1.2", "fd77:1::2"]
        assert found["ipv6"]["facts"] == {"addresses": [], "route": False}
        status, found = await doctor(alice, [*given, "south"])
        assert status == 1
        assert found["turn"]["text"] == f"{turn(V4)} refuses the credentials"


@pytest.mark.trio
async def test_a_host_without_a_network(network: Network) -> None:
    alone = await trio.to_thread.run_sync(network.host, "alone")
    given = ["--server", f"http://{V4}/", "--ice", turn(V4), "--username", "u", "--credential", "c"]
    status, found = await doctor(alone, given)
    assert status == 1
    assert found["interfaces"]["verdict"] == "wrong"
    assert "Network is unreachable" in found["http"]["text"]
    assert "Network is unreachable" in found["turn"]["text"]
