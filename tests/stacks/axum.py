"""Tests docs/examples/axum with raw sockets, and with the client of docs/examples/hyper. Prints a line for each check, then
`N passed, N failed`.

    axum.py DIR HYPER     the server is in DIR, hyper's client in HYPER
"""

import subprocess
import sys
from pathlib import Path

# Its helpers run the client in the first argument's directory.
PROGRAMS = sys.argv.pop(1)
sys.path.insert(0, str(Path(__file__).parent.parent / "hyper"))
import checks as http  # noqa: E402


def echoes(address):
    texts = ["hello", "", "grüße", "x" * 100_000, "compressible " * 1000]
    code, lines, errors = http.client("ws://%s:%d/" % address, *texts)
    assert (code, lines) == (0, texts), (code, errors)


def compression_and_a_subprotocol_are_agreed_on(address):
    data = http.request(
        Sec_WebSocket_Extensions="permessage-deflate", Sec_WebSocket_Protocol="chat, superchat"
    )
    _, headers, _ = http.head_of(http.exchange(address, data, lambda answer: b"\r\n\r\n" in answer))
    assert headers["sec-websocket-extensions"].startswith("permessage-deflate"), headers
    assert headers["sec-websocket-protocol"] == "chat", headers


def requests_get_their_status(address):
    line = "GET / HTTP/1.1"
    for data, expected, more in [
        (http.request(), 101, {"sec-websocket-accept": http.accept_value(http.KEY)}),
        (http.request("GET /hello HTTP/1.1", Upgrade=None, Connection=None), 200, {}),
        (http.request("GET /nothing HTTP/1.1"), 404, {}),
        (http.request("POST / HTTP/1.1"), 405, {"allow": "GET,HEAD"}),
        (http.request("HEAD / HTTP/1.1"), 405, {"allow": "GET"}),
        (http.request(Upgrade=None), 426, {"upgrade": "websocket", "connection": "upgrade"}),
        (http.request(Sec_WebSocket_Version="8"), 426, {"sec-websocket-version": "13"}),
        (http.request(Sec_WebSocket_Key="short"), 400, {}),
        (http.request(Connection="close"), 400, {}),
        (http.request(line, Sec_WebSocket_Protocol="a, a"), 400, {}),
        (http.request("GET / HTTP/1.0"), 505, {}),
    ]:
        status, headers = http.refusal(address, data)
        seen = {name: headers.get(name, "").lower() for name in more}
        assert (status, seen) == (expected, {n: v.lower() for n, v in more.items()}), (data, status, headers)


def frames_behind_the_request_are_echoed(address):
    http.frames_behind_the_request_are_echoed(address)


CHECKS = (
    echoes,
    compression_and_a_subprotocol_are_agreed_on,
    requests_get_their_status,
    frames_behind_the_request_are_echoed,
)


def main():
    command = [Path(PROGRAMS) / "server", "127.0.0.1:0", "--deflate"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    failed = 0
    try:
        host, port = server.stdout.readline().split("//")[1].strip().rsplit(":", 1)
        for check in CHECKS:
            try:
                check((host, int(port)))
                print(f"ok      axum: {check.__name__}")
            except Exception as error:
                failed += 1
                print(f"FAILED  axum: {check.__name__}: {error!r}")
    finally:
        server.kill()
        server.wait()
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
