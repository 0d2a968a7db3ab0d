"""Runs the programs of docs/examples/hyper as processes. Prints a line for each check, then `N passed, N failed`.

    checks.py DIR       the programs are in DIR
"""

import base64
import hashlib
import socket
import subprocess
import sys
import threading
from pathlib import Path

PROGRAMS = Path(sys.argv[1])
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
# The longest time for one step, in seconds.
PATIENCE = 10
HEADERS = {
    "Host": "h",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


def accept_value(key):
    return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()


def frame(first, payload, masked=True):
    """A frame of at most 125 bytes; the masking key is zero."""
    return bytes([first, (0x80 if masked else 0) | len(payload)]) + bytes(4 if masked else 0) + payload


def request(line="GET / HTTP/1.1", **changes):
    headers = HEADERS | {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([line, *lines, "", ""]).encode()


def exchange(address, data, enough):
    """Sends `data`, and returns what the server answers, until `enough` of it says so or the server ends."""
    with socket.create_connection(address, PATIENCE) as peer:
        peer.settimeout(PATIENCE)
        peer.sendall(data)
        answer = b""
        while not enough(answer):
            more = peer.recv(65536)
            if not more:
                break
            answer += more
        return answer


def head_of(answer):
    head, _, rest = answer.partition(b"\r\n\r\n")
    line, *headers = head.decode().split("\r\n")
    return line, {name.lower(): value for name, value in (h.split(": ", 1) for h in headers)}, rest


def refusal(address, data):
    line, headers, _ = head_of(exchange(address, data, lambda answer: b"\r\n\r\n" in answer))
    return int(line.split()[1]), headers


def client(url, *texts):
    result = subprocess.run(
        [PROGRAMS / "client", url, *texts], capture_output=True, text=True, timeout=PATIENCE
    )
    return result.returncode, result.stdout.splitlines(), result.stderr


def serve_once(answer):
    """A server that reads one request, and writes what `answer` makes of it in one piece. Returns its URL."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with listener, listener.accept()[0] as peer:
            peer.settimeout(PATIENCE)
            head = b""
            while b"\r\n\r\n" not in head:
                head += peer.recv(65536)
            peer.sendall(answer(head_of(head)[1]))
            # The client's messages, its Close, and the end.
            while peer.recv(65536):
                pass

    threading.Thread(target=serve, daemon=True).start()
    return "ws://127.0.0.1:%d/" % listener.getsockname()[1]


def response(headers, accept=None, behind=b""):
    accept = accept or accept_value(headers["sec-websocket-key"])
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + behind


def ours_with_each_other(address):
    texts = ["hello", "", "grüße", "x" * 100_000, "compressible " * 1000]
    code, lines, errors = client("ws://%s:%d/" % address, *texts)
    assert (code, lines) == (0, texts), (code, errors)


def frames_behind_the_request_are_echoed(address):
    echo = frame(0x81, b"early", masked=False)
    # More than one buffer of them, with a Close behind them.
    many = 3000
    data = request() + frame(0x81, b"early") * many + frame(0x88, b"\x03\xe8")
    answer = exchange(address, data, lambda _: False)
    line, headers, rest = head_of(answer)
    assert line == "HTTP/1.1 101 Switching Protocols", line
    assert headers["sec-websocket-accept"] == accept_value(KEY)
    assert rest == echo * many + frame(0x88, b"\x03\xe8", masked=False), len(rest)


def frames_behind_the_response_are_received(_):
    many = 3000
    behind = frame(0x81, b"early", masked=False) * many + frame(0x88, b"\x03\xe8", masked=False)
    code, lines, errors = client(serve_once(lambda headers: response(headers, behind=behind)), *["x"] * many)
    assert lines == ["early"] * many and code == 0, (code, len(lines), errors)


def bad_requests_are_refused(address):
    status, headers = refusal(address, request(Sec_WebSocket_Version="8"))
    assert (status, headers["sec-websocket-version"]) == (426, "13"), headers
    assert (headers["upgrade"], headers["connection"].lower()) == ("websocket", "upgrade"), headers
    status, headers = refusal(address, request("POST / HTTP/1.1"))
    assert (status, headers["allow"]) == (405, "GET"), headers
    for data, expected in [
        (request(Sec_WebSocket_Key="short"), 400),
        (request(Connection="close"), 400),
        (request(Sec_WebSocket_Protocol="a, a"), 400),
        (request("GET / HTTP/1.0"), 505),
        (request(Upgrade=None), 200),
        (request("GET http://h?q HTTP/1.1"), 101),
    ]:
        status, _ = refusal(address, data)
        assert status == expected, (data, status)


def bad_responses_are_refused(address):
    code, _, errors = client(serve_once(lambda headers: response(headers, accept="x" * 28)), "x")
    assert code == 1 and "Sec-WebSocket-Accept does not belong to the key" in errors, errors
    code, _, errors = client(serve_once(lambda _: b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"), "x")
    assert code == 1 and "response status is 403" in errors, errors


def main():
    server = subprocess.Popen([PROGRAMS / "server", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    passed = failed = 0
    try:
        host, port = server.stdout.readline().split("//")[1].strip().rsplit(":", 1)
        for check in (
            ours_with_each_other,
            frames_behind_the_request_are_echoed,
            frames_behind_the_response_are_received,
            bad_requests_are_refused,
            bad_responses_are_refused,
        ):
            try:
                check((host, int(port)))
                passed += 1
                print(f"ok      {check.__name__}")
            except Exception as error:
                failed += 1
                print(f"FAILED  {check.__name__}: {error!r}")
    finally:
        server.kill()
        server.wait()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
