"""As little as can stand in for a PeerServer: what is left is the load's own limit.

It answers every request with the same bytes, and passes each message on to whom it is for, which
it finds without reading it. Prints its port; ends with stdin.
"""

from __future__ import annotations

import gc
import select
import socket
import sys
from typing import Final

from bench.server.traffic import OPENED, handshake, ids, offer, unmasked

_UPGRADE: Final = (
    (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )
    + bytes((0x81, len(OPENED)))
    + OPENED
)

_ID: Final = next(ids(0))
_ANSWER: Final = f"HTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\n{_ID}".encode()

_ID_AT: Final = handshake(0, _ID).index(_ID.encode())
"Where the id stands in a handshake, and so on."
_FRAME: Final = offer(_ID)
_DST_AT: Final = _FRAME.index(unmasked(_ID.encode()))
_HEAD_FROM_CLIENT: Final = _FRAME[:4]
_HEAD: Final = bytes((0x81, 126)) + _FRAME[2:4]


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    poll.register(sys.stdin, select.EPOLLIN)
    sockets: dict[int, socket.socket] = {}
    by_id: dict[bytes, socket.socket] = {}
    gc.disable()
    print(listener.getsockname()[1], flush=True)
    while True:
        for fd, _ in poll.poll():
            if fd == listener.fileno():
                sock, _ = listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sockets[sock.fileno()] = sock
                poll.register(sock, select.EPOLLIN)
                continue
            if fd == sys.stdin.fileno():
                return
            sock = sockets[fd]
            data = sock.recv(65536)
            if data.startswith(_HEAD_FROM_CLIENT):
                for at in range(0, len(data), len(_FRAME)):
                    frame = data[at : at + len(_FRAME)]
                    by_id[frame[_DST_AT : _DST_AT + 36]].send(_HEAD + unmasked(frame[8:]))
            elif b"\r\nUpgrade: " in data:
                by_id[unmasked(data[_ID_AT : _ID_AT + 36])] = sock
                sock.send(_UPGRADE)
            elif data.startswith(b"GET "):
                sock.send(_ANSWER)
            if not data or data.startswith(b"\x88") or b"\r\nConnection: close\r\n" in data:
                sock.close()
                del sockets[fd]


if __name__ == "__main__":
    main()
