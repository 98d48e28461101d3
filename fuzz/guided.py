"""One target under atheris: ``python -m fuzz.guided TARGET`` and libFuzzer's own arguments.

Started by ``python -m fuzz``. Nothing of peerjs_proto may be imported before it is instrumented.
"""

from __future__ import annotations

import importlib
import sys

from . import load


def main() -> None:
    atheris = importlib.import_module("atheris")  # has no type hints
    with atheris.instrument_imports(include=["peerjs_proto"]):
        target = load(sys.argv[1])
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
