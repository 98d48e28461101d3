"""Another Python process that does jobs for the bench."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Worker", "run_worker"]


class Worker:
    """``python -m bench.rtc``, seen from the bench. Made by :func:`run_worker`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._jobs = 0
        self._answers: dict[int, Any] = {}

    def ask(self, job: str, *arguments: Any) -> Any:
        """Do a job and wait for what it returns."""
        return self.begin(job, *arguments)()

    def begin(self, job: str, *arguments: Any) -> Callable[[], Any]:
        """Begin a job; call what comes back to wait for what it returns."""
        assert self._process.stdin is not None
        self._jobs += 1
        number = self._jobs
        self._process.stdin.write(json.dumps([number, job, *arguments]) + "\n")
        self._process.stdin.flush()
        return lambda: self._answer(number)

    def _answer(self, number: int) -> Any:
        assert self._process.stdout is not None
        while number not in self._answers:
            answer = self._process.stdout.readline()
            assert answer, "a worker ended; what it said stands above"
            answered, result = json.loads(answer)
            self._answers[answered] = result
        return self._answers.pop(number)


@contextmanager
def run_worker(*arguments: str) -> Iterator[Worker]:
    """One process; it ends with the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.rtc", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Worker(process)
        assert process.stdin is not None
        process.stdin.close()
