"""What ``import peerjs_proto`` brings: all that embedding a peer takes, and no more."""

from __future__ import annotations

import subprocess
import sys

import peerjs_proto
from peerjs_proto import errors


def test_every_error_is_there() -> None:
    assert set(errors.__all__) <= set(peerjs_proto.__all__)
    assert all(getattr(peerjs_proto, name) is getattr(errors, name) for name in errors.__all__)


def test_all_names_exist() -> None:
    assert all(hasattr(peerjs_proto, name) for name in peerjs_proto.__all__)


def test_a_peer_does_not_pay_for_a_server() -> None:
    program = "import sys, peerjs_proto; print(*(m for m in sys.modules if 'server' in m))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.split() == []
