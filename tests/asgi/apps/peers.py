"""The PeerServer of a test, alone: what the test asked for is in the environment."""

from __future__ import annotations

import json
import os

from peerjs_proto.server_io import ServerLimits
from peerjs_trio.asgi import PeerServer

options = json.loads(os.environ.get("PEERSERVER", "{}"))
app = PeerServer(**options.pop("options", {}), limits=ServerLimits(**options.pop("limits", {})))
