"""Every table of the bench can be measured; what it says on a busy machine is another matter."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.__main__ import TABLES
from bench.goals import GOALS, judge
from tests.bus.redis_server import INSTALL as REDIS
from tests.interop.programs import find_program

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.usefixtures("node_modules")
@pytest.mark.parametrize("name", TABLES)
def test_every_table_can_be_measured(name: str, tmp_path: Path) -> None:
    if name == "browser":
        find_program("chromium", install="Chromium (Debian: apt install chromium)")
    if name == "server-nodes":
        find_program("redis-server", install=REDIS)
    file = tmp_path / "results.json"
    command = [sys.executable, "-m", "bench", "--quick", "--json", str(file), name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    table = json.loads(file.read_text())["tables"][name]
    assert table["rows"]
    assert {len(row) for row in table["rows"]} == {len(table["columns"])}


def test_a_goal_is_judged_by_its_figure() -> None:
    columns = ["engine", "processes", "loop", "ratio", "to a task"]
    rows = [
        ["aiortc", 2, "stepped", 1.2, 1.1],
        ["wrtc", 1, "stepped", 1.4, 1.3],
        ["wrtc", 1, "thread", 9.0, 9.0],
    ]
    judged = judge({"ping": {"columns": columns, "rows": rows}})
    callback, task = (goal.what for goal in GOALS if goal.table == "ping")
    assert judged.rows == [
        [callback, "aiortc, two processes", "met", "≤ 1.3", 1.2],
        [callback, "wrtc, one process", "missed", "≤ 1.3", 1.4],
        [task, "aiortc, two processes", "met", "≤ 1.3", 1.1],
        [task, "wrtc, one process", "met", "≤ 1.3", 1.3],
    ]
