"""Which WebRTC engine: by name, and what an application gets that does not ask."""

from __future__ import annotations

from typing import Final, Literal, get_args

from peerjs_proto.errors import LocalProtocolError
from peerjs_trio.rtc.engine import EngineFactory

__all__ = ["DEFAULT_ENGINE", "EngineName", "engine_named"]

EngineName = Literal["aiortc", "wrtc", "auto"]
"""``auto`` is wrtc where that is installed, else aiortc."""

DEFAULT_ENGINE: Final[EngineName] = "aiortc"


def engine_named(name: EngineName) -> EngineFactory:
    """Raises LocalProtocolError for a name that is none, and ModuleNotFoundError for an engine
    whose library is not there, with the extra that brings it."""
    # Imported late: who uses one engine does not pay for the other.
    match name:
        case "aiortc":
            return _aiortc()
        case "wrtc":
            return _wrtc()
        case "auto":
            try:
                return _wrtc()
            except ModuleNotFoundError:
                return _aiortc()
    known = ", ".join(get_args(EngineName))
    raise LocalProtocolError(f"unknown engine {name!r}; known: {known}")


def _aiortc() -> EngineFactory:
    try:
        from peerjs_trio.rtc.aiortc import open_aiortc_engine
    except ModuleNotFoundError as missing:
        raise _needs("trio", missing, "aiortc", "aioice") from missing
    return open_aiortc_engine


def _wrtc() -> EngineFactory:
    try:
        from peerjs_trio.rtc.wrtc import open_wrtc_engine
    except ModuleNotFoundError as missing:
        raise _needs("fast", missing, "webrtc", "wrtc") from missing
    return open_wrtc_engine


def _needs(extra: str, missing: ModuleNotFoundError, *libraries: str) -> ModuleNotFoundError:
    if missing.name not in libraries:
        return missing
    return ModuleNotFoundError(
        f"{missing}: install what does WebRTC with\n"
        f'  python -m pip install "peerjs-sansio[{extra}]"',
        name=missing.name,
    )
