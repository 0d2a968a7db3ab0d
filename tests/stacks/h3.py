"""Tests docs/examples/h3 with aioquic, an implementation of HTTP/3 in Python. Prints a line for each check, then `N passed, N
failed`.

    h3.py PUBLISHED PATCHED     directories of the programs: with h3 as it is published, which refuses `websocket`, and
                                with an h3 that lets it through
"""

import asyncio
import contextlib
import os
import re
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.h3.connection import H3_ALPN, H3Connection, Setting
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import StopSendingReceived, StreamReset

PUBLISHED, PATCHED = map(Path, sys.argv[1:])
# The longest time for one step, in seconds. A server waits 5 s for the end of a failed connection.
PATIENCE = 20
MESSAGE_ERROR, REQUEST_CANCELLED = 0x10E, 0x10C
TEXT, BINARY, CLOSE = 1, 2, 8


def frame(opcode, payload, masked=True):
    """A frame whose masking key is zero."""
    mask, n = (0x80 if masked else 0), len(payload)
    if n < 126:
        length = bytes([mask | n])
    elif n < 65536:
        length = bytes([mask | 126]) + n.to_bytes(2, "big")
    else:
        length = bytes([mask | 127]) + n.to_bytes(8, "big")
    return bytes([0x80 | opcode]) + length + bytes(4 if masked else 0) + payload


def parse(data):
    """The whole frames in `data`, unmasked."""
    frames = []
    while len(data) >= 2:
        n, at = data[1] & 0x7F, 2
        if n >= 126:
            at = 4 if n == 126 else 10
            n = int.from_bytes(data[2:at], "big") if len(data) >= at else len(data)
        key = data[at : at + 4] if data[1] & 0x80 else b""
        at += len(key)
        if len(data) < at + n:
            break
        payload = data[at : at + n]
        if any(key):
            pad = (key * (n // 4 + 1))[:n]
            payload = (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(n, "big")
        frames.append((data[0] & 15, payload))
        data = data[at + n :]
    return frames


class Stream:
    """What has arrived on one stream."""

    def __init__(self):
        self.headers, self.data, self.has_ended = None, b"", False
        self.reset = self.stop = None


class Peer(QuicConnectionProtocol):
    """aioquic's end of a connection."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = H3Connection(self._quic)
        self.streams = {}

    def stream(self, id):
        return self.streams.setdefault(id, Stream())

    def quic_event_received(self, event):
        if isinstance(event, StreamReset):
            self.stream(event.stream_id).reset = event.error_code
        if isinstance(event, StopSendingReceived):
            self.stream(event.stream_id).stop = event.error_code
        for event in self.http.handle_event(event):
            stream = self.stream(event.stream_id)
            if isinstance(event, HeadersReceived):
                stream.headers = {name.decode(): value.decode() for name, value in event.headers}
                stream.has_ended |= event.stream_ended
                self.request_received(event.stream_id, stream)
            elif isinstance(event, DataReceived):
                stream.data += event.data
                stream.has_ended |= event.stream_ended
                self.data_received(event.stream_id, stream)

    def request_received(self, id, stream):
        pass

    def data_received(self, id, stream):
        pass

    def request(self, path="/chat", **changes):
        """Sends an extended CONNECT. Returns the number of the stream, and what arrives on it."""
        headers = {
            ":method": "CONNECT",
            ":protocol": "websocket",
            ":scheme": "https",
            ":authority": "localhost",
            ":path": path,
            "sec-websocket-version": "13",
        } | {name.replace("p_", ":").replace("_", "-"): value for name, value in changes.items()}
        id = self._quic.get_next_available_stream_id()
        self.http.send_headers(id, [(n.encode(), v.encode()) for n, v in headers.items() if v is not None])
        self.transmit()
        return id, self.stream(id)

    def send(self, id, data, end=False):
        self.http.send_data(id, data, end)
        self.transmit()


async def until(holds, what):
    for _ in range(PATIENCE * 100):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"waited in vain for {what}")


@contextlib.asynccontextmanager
async def server(programs):
    """Starts our server. Yields a function that connects, the certificate, the port and the log."""
    certificate = programs / "certificate.der"
    program = await asyncio.create_subprocess_exec(
        programs / "server", "127.0.0.1:0", certificate, stdout=subprocess.PIPE
    )
    log = []

    async def read():
        async for line in program.stdout:
            log.append(line.decode().rstrip())

    reading = asyncio.create_task(read())
    try:
        await until(lambda: log, "the server")
        port = int(log[0].rsplit(":", 1)[1])
        config = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, verify_mode=ssl.CERT_NONE)
        config.server_name = "localhost"

        def to_server():
            return connect("127.0.0.1", port, configuration=config, create_protocol=Peer)

        yield to_server, certificate, port, log
    finally:
        program.kill()
        await program.wait()
        reading.cancel()


async def client(programs, port, certificate, *texts):
    program = await asyncio.create_subprocess_exec(
        programs / "client",
        f"wss://localhost:{port}/chat",
        certificate,
        *texts,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        out, errors = await asyncio.wait_for(program.communicate(), PATIENCE)
    except TimeoutError:
        program.kill()
        raise
    return program.returncode, sorted(out.decode().splitlines()), errors.decode()


async def published_h3_refuses_the_protocol():
    """If this fails, a newer h3 can do more: build the example as it is, and drop `h3_websocket.py`."""
    async with server(PUBLISHED) as (to_server, certificate, port, log), to_server() as peer:
        await until(lambda: peer.http.received_settings, "SETTINGS")
        assert peer.http.received_settings[Setting.ENABLE_CONNECT_PROTOCOL] == 1
        _, stream = peer.request()
        await until(lambda: stream.reset, "a reset")
        assert stream.reset == MESSAGE_ERROR, hex(stream.reset)
        # Only the protocol is at fault.
        _, stream = peer.request(p_protocol="connect-udp")
        await until(lambda: stream.headers, "a response")
        assert stream.headers[":status"] == "501", stream.headers
        code, _, errors = await client(PUBLISHED, port, certificate, "x")
        assert code == 1 and "this version of h3 cannot send" in errors, errors


async def our_client_and_server_speak_with_each_other():
    texts = ["a" * 100_000, "grüße", "hello"]
    async with server(PATCHED) as (_, certificate, port, _):
        assert await client(PATCHED, port, certificate, *texts) == (0, texts, "")


async def several_sockets_share_a_connection():
    async with server(PATCHED) as (to_server, _, _, log), to_server() as peer:
        await until(lambda: peer.http.received_settings, "SETTINGS")
        assert peer.http.received_settings[Setting.ENABLE_CONNECT_PROTOCOL] == 1
        streams = [peer.request(f"/socket/{i}") for i in range(5)]
        for i, (id, stream) in enumerate(streams):
            await until(lambda: stream.headers, "a response")
            assert stream.headers[":status"] == "200", stream.headers
            peer.send(id, frame(TEXT, b"hello %d" % i) + frame(BINARY, bytes([i]) * 500_000))
        for i, (id, stream) in enumerate(streams):
            await until(lambda: len(parse(stream.data)) == 2, "two echoes")
            assert parse(stream.data) == [(TEXT, b"hello %d" % i), (BINARY, bytes([i]) * 500_000)]
            # After the Close the stream ends in order, and the others go on.
            peer.send(id, frame(CLOSE, b"\x0f\xa0done"))
            await until(lambda: stream.has_ended, "FIN")
            assert parse(stream.data)[2:] == [(CLOSE, b"\x0f\xa0")], parse(stream.data)[2:]
            assert stream.reset is None
        for i in range(5):
            assert f"extended CONNECT for localhost /socket/{i}" in log, log


async def a_failed_connection_sends_its_close_and_ends_the_stream():
    async with server(PATCHED) as (to_server, _, _, log), to_server() as peer:
        id, stream = peer.request()
        await until(lambda: stream.headers, "a response")
        peer.send(id, frame(TEXT, b"x", masked=False))
        await until(lambda: stream.has_ended, "FIN")
        assert parse(stream.data) == [(CLOSE, b"\x03\xea")], stream.data
        # This client does not end its side, so the server gives up after close_timeout.
        await until(lambda: stream.stop is not None, "STOP_SENDING")
        await until(lambda: any("not masked" in line for line in log), "the server's log")


async def a_reset_stream_ends_its_socket_alone():
    async with server(PATCHED) as (to_server, _, _, log), to_server() as peer:
        (reset, at_reset), (other, at_other) = peer.request("/reset"), peer.request()
        await until(lambda: at_reset.headers and at_other.headers, "two responses")
        peer.send(reset, frame(TEXT, b"half of this")[:9])
        peer._quic.reset_stream(reset, REQUEST_CANCELLED)
        peer.transmit()
        await until(lambda: any(re.search("/reset: .*aborted", line) for line in log), "the server's log")
        await until(lambda: at_reset.reset, "a reset of the other direction")
        assert at_reset.reset == REQUEST_CANCELLED
        peer.send(other, frame(TEXT, b"still here"))
        await until(lambda: parse(at_other.data) == [(TEXT, b"still here")], "an echo")


async def other_requests_get_their_status():
    async with server(PATCHED) as (to_server, _, _, _), to_server() as peer:
        for changes, status, more in [
            ({"p_protocol": "connect-udp"}, "501", {}),
            ({"sec_websocket_version": "8"}, "400", {"sec-websocket-version": "13"}),
            ({"sec_websocket_version": None}, "400", {}),
            ({"sec_websocket_protocol": "a, a"}, "400", {}),
            ({"p_method": "GET", "p_protocol": None}, "200", {}),
        ]:
            _, stream = peer.request(**changes)
            await until(lambda: stream.headers, "a response")
            assert stream.headers[":status"] == status, (changes, stream.headers)
            assert stream.headers.items() >= more.items(), stream.headers


class Echo(Peer):
    """A server of aioquic."""

    requests = []

    def request_received(self, id, stream):
        Echo.requests.append(stream.headers)
        stream.echoed = 0
        self.http.send_headers(id, [(b":status", b"200")])
        self.transmit()

    def data_received(self, id, stream):
        frames = parse(stream.data)
        for opcode, payload in frames[stream.echoed :]:
            self.send(id, frame(opcode, payload, masked=False), end=opcode == CLOSE)
        stream.echoed = len(frames)


async def our_client_speaks_with_a_server_of_aioquic():
    with tempfile.TemporaryDirectory() as directory:
        pem, key, der = (os.path.join(directory, name) for name in ("pem", "key", "der"))
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        make += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        make += ["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", pem]
        subprocess.run(make, check=True, capture_output=True)
        subprocess.run(["openssl", "x509", "-in", pem, "-outform", "der", "-out", der], check=True)
        config = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN)
        config.load_cert_chain(pem, key)
        listener = await serve("127.0.0.1", 0, configuration=config, create_protocol=Echo)
        port = listener._transport.get_extra_info("sockname")[1]
        texts = ["a", "b" * 100_000, "c"]
        result = await client(PATCHED, port, der, *texts)
        listener.close()
    assert result == (0, texts, ""), result
    names = (":method", ":protocol", ":scheme", ":path", "sec-websocket-version", "sec-websocket-key")
    seen = [tuple(headers.get(name) for name in names) for headers in Echo.requests]
    assert seen == [("CONNECT", "websocket", "https", "/chat", "13", None)] * 3, seen


CHECKS = (
    published_h3_refuses_the_protocol,
    our_client_and_server_speak_with_each_other,
    several_sockets_share_a_connection,
    a_failed_connection_sends_its_close_and_ends_the_stream,
    a_reset_stream_ends_its_socket_alone,
    other_requests_get_their_status,
    our_client_speaks_with_a_server_of_aioquic,
)


async def main():
    failed = 0
    for check in CHECKS:
        try:
            await check()
            print(f"ok      h3: {check.__name__}")
        except Exception as error:
            failed += 1
            print(f"FAILED  h3: {check.__name__}: {error!r}")
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
