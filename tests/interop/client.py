"""A WebSocket client on Python's `websockets` that runs checks. README.md lists its scenarios."""

import contextlib
import itertools
import sys
from urllib.parse import quote

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import connect

SECONDS = 30
SIZES = [0, 1, 125, 126, 127, 65535, 65536, 1 << 20, 16 << 20]
REASON = "auf Wiedersehen, até logo, さようなら"
DEFLATE = {
    "--deflate": {"client_max_window_bits": True},
    "--deflate=no-context-takeover": {"server_no_context_takeover": True, "client_no_context_takeover": True},
}
DEFLATE |= {f"--deflate={bits}": {"server_max_window_bits": bits, "client_max_window_bits": bits} for bits in range(9, 15)}
OPTIONS = sys.argv[3:]


def text_of(size):
    """Returns exactly `size` bytes of UTF-8, with characters of every width."""
    return "z" * (size % 10) + "aé€😀" * (size // 10)


def binary_of(size):
    return (bytes(range(251)) * (size // 251 + 1))[:size]


@contextlib.contextmanager
def open_at(path, **options):
    with connect(
        sys.argv[1] + path,
        compression=None,
        extensions=[ClientPerMessageDeflateFactory(**DEFLATE[option]) for option in OPTIONS] or None,
        max_size=None,
        open_timeout=SECONDS,
        close_timeout=10,
        ping_interval=None,
        **options,
    ) as ws:
        agreed = [extension.name for extension in ws.protocol.extensions]
        if agreed != ["permessage-deflate"] * len(OPTIONS):
            raise AssertionError(f"extensions agreed on: {agreed}")
        yield ws


def expect(seen, wanted):
    if type(seen) is not type(wanted) or seen != wanted:
        raise AssertionError(f"expected {brief(wanted)}, got {brief(seen)}")


def brief(value):
    return f"{type(value).__name__} of {len(value)}" if isinstance(value, (str, bytes)) and len(value) > 60 else repr(value)


def echoed(ws, message):
    expect(ws.recv(SECONDS), message)


def closed(ws, code, reason=""):
    """Waits for the end. The peer's Close frame must have this code and reason."""
    try:
        got = ws.recv(SECONDS)
    except ConnectionClosed as end:
        frame = end.rcvd
        expect((frame and frame.code, frame and frame.reason), (code, reason))
    else:
        raise AssertionError(f"a message instead of the end: {brief(got)}")


def echo():
    with open_at("/echo") as ws:
        for size, make in itertools.product(SIZES, (text_of, binary_of)):
            message = make(size)
            with check(f"{'text' if make is text_of else 'binary'} {size}"):
                ws.send(message)
                echoed(ws, message)


def fragments():
    text = "Grüße, 世界 😀" * 100
    raw = text.encode()
    with open_at("/echo") as ws:
        with check("text cut inside characters"):
            ws.send((raw[i : i + 3] for i in range(0, len(raw), 3)), text=True)
            echoed(ws, text)
        with check("one-byte fragments"):
            ws.send(bytes([byte]) for byte in binary_of(1000))
            echoed(ws, binary_of(1000))
        with check("empty fragments"):
            ws.send([b"", b"", b"abc", b"", b"def", b""])
            echoed(ws, b"abcdef")
        with check("large fragments"):
            ws.send(binary_of(100_000) for _ in range(5))
            echoed(ws, binary_of(100_000) * 5)
        with check("pings between fragments"):
            pongs = []

            def pieces():
                for piece in (b"one ", b"two ", b"three"):
                    pongs.append(ws.ping(b"before " + piece))
                    yield piece

            ws.send(pieces(), text=True)
            echoed(ws, "one two three")
            expect([pong.wait(SECONDS) for pong in pongs], [True] * 3)


def ping():
    with open_at("/echo") as ws:
        for size in (0, 1, 125):
            with check(f"{size} bytes"):
                # The library matches a pong to its ping by the payload, so a changed payload would time out.
                expect(ws.ping(binary_of(size)).wait(SECONDS), True)


def close():
    for name, code, reason in (
        ("1000", 1000, ""),
        ("1001", 1001, "going away"),
        ("3000", 3000, ""),
        ("4999", 4999, REASON),
    ):
        with check(name), open_at("/echo") as ws:
            ws.close(code, reason)
            frame = ws.protocol.close_rcvd
            expect(frame and frame.code, code)


def receive_fragments():
    with open_at("/fragments") as ws:
        for name, message in (
            ("text", text_of(1000)),
            ("binary", binary_of(100_000)),
            ("empty", ""),
        ):
            with check(name):
                ws.send(message)
                echoed(ws, message)


def receive_ping():
    with open_at("/ping") as ws, check("pongs"):
        echoed(ws, "3 pongs")


def receive_close():
    for name, path, code, reason in (
        ("1000", "/1000", 1000, ""),
        ("1001", "/1001/going%20away", 1001, "going away"),
        ("3000", "/3000", 3000, ""),
        ("4999", "/4999/" + quote(REASON), 4999, REASON),
        ("none", "", 1005, ""),
    ):
        with check(name), open_at("/close" + path) as ws:
            closed(ws, code, reason)


def subprotocol():
    for name, offer, wanted in (
        ("one of two", ["other.example", "echo.example"], "echo.example"),
        ("none of two", ["other.example", "Echo.Example"], None),
        ("none offered", None, None),
        # The library sends the header with an empty value.
        ("empty list", [], None),
    ):
        with check(name), open_at("/echo", subprotocols=offer) as ws:
            expect(ws.subprotocol, wanted)
            ws.send("hello")
            echoed(ws, "hello")


def reject():
    with check("403"):
        try:
            with open_at("/reject"):
                raise AssertionError("accepted")
        except InvalidStatus as refused:
            expect(refused.response.status_code, 403)


class check:
    """A named check: reports how its block ended. The scenario continues after a failure."""

    def __init__(self, name):
        self.name = name

    def __enter__(self):
        pass

    def __exit__(self, _, error, __):
        if error is None:
            print("ok", self.name, flush=True)
        elif isinstance(error, Exception):
            print(f"FAILED {self.name}: {type(error).__name__}: {error}", flush=True)
        return isinstance(error, Exception)


globals()[sys.argv[2].replace("-", "_")]()
