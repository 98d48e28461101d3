"""The load: ``python -m bench.server.load PORT ...``. Jobs come on stdin, one a line, as JSON.

``["relay", {"seconds": 2, "under_way": 64}]`` is answered by a line of what was found, and the
CPU that it took, in seconds.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from bench.server.asking import ask_for_ids
from bench.server.swarm import Swarm


def main(ports: list[int]) -> None:
    swarm = Swarm(ports, seed=6)
    jobs: dict[str, Callable[..., dict[str, Any]]] = {
        "open": swarm.open,
        "close": swarm.close,
        "relay": swarm.relay,
        "pace": swarm.pace,
        "beat": swarm.beat,
        "ids": partial(ask_for_ids, ports[0]),
    }
    gc.disable()  # there are no cycles in what it makes, and pauses would count as the server's
    for line in sys.stdin:
        name, arguments = json.loads(line)
        before = time.process_time()
        found = jobs[name](**arguments)
        print(json.dumps(found | {"cpu": time.process_time() - before}), flush=True)


if __name__ == "__main__":
    main([int(port) for port in sys.argv[1:]])
