"""``python -m fuzz [--seconds N] [--jobs N] [TARGET ...]``: fuzz, one line a target.

Ends with 1 where an invariant was broken, and says how to see it again. What was found worth
keeping on the way is in ``.cache/fuzz``, and where the next run begins.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from . import TARGETS, Skipped, load
from .seeds import dictionary, seeds

CACHE: Final = Path(".cache") / "fuzz"
LIMITS: Final = ("-timeout=20", "-rss_limit_mb=512")
"Seconds for one input, and memory for all: what a target holds is bounded."

NO_ATHERIS: Final = """\
Fuzzing needs atheris: pip install 'atheris>=3.0'. It has wheels for CPython 3.11 to 3.14 on
Linux x86_64; elsewhere it has to be built, with clang. Without it, inputs can be replayed:
python -m fuzz.replay TARGET FILE, and the test suite does so with the corpus."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Fuzz peerjs_proto.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for each target; 60")
    parser.add_argument("--jobs", type=int, default=1, help="targets at a time; 1")
    asked = parser.parse_args()
    if unknown := set(asked.targets) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    if importlib.util.find_spec("atheris") is None:
        sys.exit(NO_ATHERIS)
    print(f"{'target':<17} {'inputs':>9} {'a second':>8} {'corpus':>6} {'edges':>6}  result")
    with ThreadPoolExecutor(max(1, asked.jobs)) as pool:
        results = pool.map(lambda name: fuzz(name, asked.seconds), asked.targets or TARGETS)
        sound = [*results]
    sys.exit(not all(sound))


def fuzz(name: str, seconds: int) -> bool:
    """Fuzz one target; False where its invariant was broken, or it could not be run."""
    try:
        load(name)
    except Skipped as reason:
        print(f"{name:<17} {'skipped: ' + str(reason)}", flush=True)
        return True
    found, given = CACHE / name / "corpus", CACHE / name / "seeds"
    crashes = CACHE / name / "crashes"
    for folder in (found, given, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    for n, (_, data) in enumerate(seeds(name)):
        (given / str(n)).write_bytes(data)
    words = CACHE / name / "words"
    words.write_text(dictionary())
    log = CACHE / name / "log"
    with log.open("w") as output:
        code = subprocess.call(
            [
                *(sys.executable, "-m", "fuzz.guided", name, str(found), str(given)),
                *(f"-max_total_time={seconds}", f"-dict={words}", *LIMITS),
                *(f"-artifact_prefix={crashes}/", "-print_final_stats=1"),
            ],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    report(name, log.read_text(errors="replace"), code)
    return code == 0


def report(name: str, log: str, code: int) -> None:
    """One line; more where there is more to say."""

    def last(pattern: str) -> str:
        found: list[str] = re.findall(pattern, log, re.MULTILINE)
        return found[-1] if found else "?"

    inputs, rate = last(r"number_of_executed_units: (\d+)"), last(r"exec_per_sec: +(\d+)")
    corpus, edges = last(r"corp: (\d+)/"), last(r"cov: (\d+) ")
    result = "ok" if code == 0 else "BROKEN"
    print(f"{name:<17} {inputs:>9} {rate:>8} {corpus:>6} {edges:>6}  {result}", flush=True)
    if code == 0:
        return
    saved = last(r"written to (\S+)")
    if saved == "?":
        print(log[-2000:])
        return
    why = re.search(r"^(?:Traceback|===.*exception).*?(?=^==\d+==)", log, re.MULTILINE | re.DOTALL)
    print(why[0].rstrip() if why else log[-2000:])
    print(f"To see it again: python -m fuzz.replay {name} {saved}", flush=True)


if __name__ == "__main__":
    main()
