"""A scripted WebSocket server on Python's `websockets`. README.md lists its paths."""

import contextlib
import http
import sys
from urllib.parse import unquote

from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.sync.server import serve

SUBPROTOCOL = "echo.example"
DEFLATE = {
    "--deflate": {},
    "--deflate=no-context-takeover": {"server_no_context_takeover": True, "client_no_context_takeover": True},
}
DEFLATE |= {f"--deflate={bits}": {"server_max_window_bits": bits, "client_max_window_bits": bits} for bits in range(9, 15)}
PINGS = [b"", b"p", bytes(range(125))]


def handle(ws):
    path = ws.request.path.strip("/").split("/")
    with contextlib.suppress(ConnectionClosed):
        obey(ws, path)


def obey(ws, path):
    if path[0] == "close":
        code = int(path[1]) if len(path) > 1 else 1000
        reason = unquote(path[2]) if len(path) > 2 else ""
        ws.close(code, reason)
        return
    if path[0] == "ping":
        for payload in PINGS:
            if not ws.ping(payload).wait(10):
                ws.close(4000, f"no pong for {len(payload)} bytes")
                return
        ws.send(f"{len(PINGS)} pongs")
    for message in ws:
        if path[0] == "fragments":
            text = isinstance(message, str)
            ws.send(fragments(ws, message.encode() if text else message), text=text)
        else:
            ws.send(message)


def fragments(ws, payload):
    size = -(-len(payload) // 7)
    for i in range(7):
        ws.ping(f"before {i}")
        yield payload[i * size : (i + 1) * size]
    ws.ping("before the end")
    yield b""


def refuse(connection, request):
    if request.path == "/reject":
        return connection.respond(http.HTTPStatus.FORBIDDEN, "not here\n")
    return None


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    with serve(
        handle,
        host,
        int(port),
        compression=None,
        extensions=[ServerPerMessageDeflateFactory(**DEFLATE[option]) for option in sys.argv[2:]] or None,
        select_subprotocol=lambda _, offered: SUBPROTOCOL if SUBPROTOCOL in offered else None,
        process_request=refuse,
        max_size=None,
        ping_interval=None,
        close_timeout=10,
    ) as server:
        print(f"listening on ws://{host}:{server.socket.getsockname()[1]}", flush=True)
        server.serve_forever()


main()
