"""Node as an oracle: a script that answers a list of jobs with a list of results."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

__all__ = ["run_jobs"]


def run_jobs(
    script: Path, node_modules: Path, jobs: list[dict[str, Any]], *args: str
) -> list[dict[str, Any]]:
    """The script's answers to the jobs: JSON on its standard input and output."""
    done = subprocess.run(
        ["node", "--max-old-space-size=1024", script, node_modules, *args],
        input=json.dumps(jobs),
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers
