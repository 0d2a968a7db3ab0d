"""Runs the programs of docs/examples against other implementations. Prints a table of servers and clients, a line for each
other check, then `N passed, N failed`. A check that cannot run counts as failed, with the reason.

    checks.py EXAMPLES OWN [programs] [uring] [tls] [arena] [wasm]
        the programs of the library, and of the packages of their own
"""

import base64
import gzip
import hashlib
import os
import re
import resource
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

EXAMPLES, OWN, PARTS = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
INTEROP = Path(__file__).parents[1] / "interop"
HERE = Path(__file__).parent
GUIDE = HERE.parents[1] / "docs/guide.md"
WASM = "wasm32-unknown-unknown/release/websocket_proto_wasm.wasm"
# The clients of tests/interop, with the number of checks in each scenario. Node's also sends a Close without a code.
SCENARIOS = {"echo": 18, "fragments": 5, "ping": 3, "close": 4}
CLIENTS = {
    "Python websockets": ([sys.executable, INTEROP / "client.py"], SCENARIOS),
    "Node ws": (["node", INTEROP / "client.mjs"], SCENARIOS | {"close": 5}),
}
# The longest time for one step, in seconds.
PATIENCE = 30
MIB = 1 << 20
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
CLOSE = b"\x88\x02\x03\xe8"
MASKED_CLOSE = b"\x88\x82\0\0\0\0\x03\xe8"

passed = failed = 0


def report(name, function, *arguments):
    global passed, failed
    begin = time.monotonic()
    try:
        function(*arguments)
        why = ""
        passed += 1
    except Exception as error:
        why = f": {type(error).__name__}: {error}"
        failed += 1
    print(f"{'FAILED' if why else 'ok    '}  {name} ({time.monotonic() - begin:.1f} s){why}", flush=True)


def expect(seen, expected, what):
    if seen != expected:
        raise AssertionError(f"{what}: expected {expected!r}, saw {seen!r}")


def within(condition, what, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


def page_figures(pattern):
    """The numbers in a sentence of docs/guide.md. Each group of the pattern is a number; spaces match line breaks too."""
    found = re.search(pattern.replace(" ", r"\s+"), GUIDE.read_text())
    if not found:
        raise AssertionError(f"docs/guide.md does not say: {pattern}")
    return [int(number.replace(",", "")) for number in found.groups()]


# --- processes


@contextmanager
def server(*command, env=None):
    """A server process during a block. Yields it, with `url`, `port` and `said()`."""
    with tempfile.NamedTemporaryFile() as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **(env or {})}
        )
        late = threading.Timer(PATIENCE, process.kill)
        late.start()
        try:
            line = process.stdout.readline()
            late.cancel()
            process.said = Path(log.name).read_text
            if not line.startswith("listening on ws"):
                raise AssertionError(f"{command[0]} does not listen: {line!r} {process.said()!r}")
            process.url = line.removeprefix("listening on ").strip()
            process.port = int(process.url.rsplit(":", 1)[1])
            yield process
            if process.poll() is not None:
                raise AssertionError(f"{command[0]} has ended: {process.said()[-500:]!r}")
        finally:
            late.cancel()
            process.kill()
            process.wait()
            process.stdout.close()


def run(*command):
    """Runs a program to its end. Returns its status, lines and errors."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
    return done.returncode, done.stdout.splitlines(), done.stderr


# --- the table


def scenarios_of(client, scenarios, url, env, options):
    """Runs all scenarios of a client. Returns the number of passed checks, and why others failed."""
    good, complaints = 0, []
    for scenario, count in scenarios.items():
        done = subprocess.run(
            [*client, url, scenario, *options], capture_output=True, text=True, timeout=2 * PATIENCE, env={**os.environ, **env}
        )
        lines = done.stdout.splitlines()
        ok = sum(line.startswith("ok ") for line in lines)
        good += min(ok, count)
        if ok != count or done.returncode:
            complaints.append(f"{scenario}: {lines[-3:]} {done.stderr[-300:]}")
    return good, complaints


def table(rows):
    """A row for each server, and a column for each client."""
    global passed, failed
    print(f"{'':24}" + "".join(f"{name:>20}" for name in CLIENTS))
    for name, command, env, *options in rows:
        cells, complaints = [], []
        for client, scenarios in CLIENTS.values():
            count = sum(scenarios.values())
            try:
                with server(*command) as process:
                    url = process.url.replace("127.0.0.1", "localhost") if env else process.url
                    good, why = scenarios_of(client, scenarios, url, env, options)
            except Exception as error:
                good, why = 0, [f"{type(error).__name__}: {error}"]
            passed += good
            failed += max(count - good, bool(why))
            cells.append(f"{good} of {count}")
            complaints += why
        print(f"{name:24}" + "".join(f"{cell:>20}" for cell in cells), flush=True)
        for complaint in complaints:
            print(f"    {complaint}")


# --- WebSockets on raw sockets


def frame(payload, masked=True):
    """A binary frame. The masking key is zero."""
    n, mask = len(payload), 0x80 if masked else 0
    if n < 126:
        header = struct.pack("!BB", 0x82, mask | n)
    elif n < 65536:
        header = struct.pack("!BBH", 0x82, mask | 126, n)
    else:
        header = struct.pack("!BBQ", 0x82, mask | 127, n)
    return header + bytes(4 if masked else 0) + payload


def read(stream, n):
    data = bytearray()
    while len(data) < n:
        more = stream.recv(min(n - len(data), MIB))
        if not more:
            raise EOFError(f"the end after {len(data)} of {n} bytes")
        data += more
    return bytes(data)


def read_head(stream):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += read(stream, 1)
    return head


def connect(port, buffers=None):
    stream = socket.socket()
    if buffers:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffers)
    stream.settimeout(PATIENCE)
    stream.connect(("127.0.0.1", port))
    stream.sendall(UPGRADE)
    expect(read_head(stream)[9:12], b"101", "the status")
    return stream


def echo(stream, payload):
    stream.sendall(frame(payload))
    expect(read(stream, len(frame(payload, False))) == frame(payload, False), True, "the echo is the same")


# --- io_uring


def uring_many(process):
    """More connections than buffers, each with several messages in flight; sizes around each limit of the program."""
    streams = [connect(process.port) for _ in range(300)]
    sizes = [0, 16, 125, 126, 4000, 16383, 16384, 65535, 65536]
    for round_ in range(3):
        payloads = [[bytes([i % 251, round_]) * (size // 2) for size in sizes] for i in range(len(streams))]
        for stream, own in zip(streams, payloads):
            # 200 KiB fit into the buffers of the sockets, so nobody waits.
            stream.sendall(b"".join(frame(payload) for payload in own))
        for stream, own in zip(streams, payloads):
            wanted = b"".join(frame(payload, False) for payload in own)
            expect(read(stream, len(wanted)) == wanted, True, "the echoes are the same")
    for stream in streams:
        stream.sendall(MASKED_CLOSE)
    for stream in streams:
        expect(read(stream, 4), CLOSE, "the Close")
        expect(stream.recv(1), b"", "the end")
        stream.close()


def uring_slow_reader(process, size):
    """A peer that sends without reading is not read any more; other peers are served; nothing is lost. Messages of 8 KiB
    make queues of many pieces, of which a write takes a part."""
    slow, other = connect(process.port, buffers=64 * 1024), connect(process.port)
    payloads = [struct.pack("!I", i) * (size // 4) for i in range(100 * MIB // size)]
    data, sent = memoryview(b"".join(map(frame, payloads))), 0
    slow.settimeout(1)
    try:
        while sent < len(data):
            sent += slow.send(data[sent : sent + MIB])
    except TimeoutError:
        pass
    if sent == len(data):
        raise AssertionError("the server reads without bound")
    for _ in range(20):
        echo(other, b"Hello" * 20000)
    resident = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * resource.getpagesize()
    if resident > 64 * MIB:
        raise AssertionError(f"{resident} bytes are resident")
    # From here on it reads. Another thread sends the rest.
    slow.settimeout(PATIENCE)
    sender = threading.Thread(target=slow.sendall, args=(data[sent:],))
    sender.start()
    for payload in payloads:
        wanted = frame(payload, False)
        expect(read(slow, len(wanted)) == wanted, True, "the echo is the same")
    sender.join()


def uring_leaving(process):
    """Peers that leave in every way: their descriptors are closed, and others are served."""
    descriptors = Path(f"/proc/{process.pid}/fd")
    with connect(process.port) as stays:
        before = len(list(descriptors.iterdir()))
        for i in range(120):
            stream = connect(process.port, buffers=8192)
            if i % 6 == 0:
                stream.sendall(MASKED_CLOSE)
            elif i % 6 == 1:
                stream.sendall(frame(bytes(100_000))[:70_000])
            elif i % 6 == 2:  # unread echoes make a reset
                stream.sendall(frame(bytes(300_000)))
                read(stream, 1)
            elif i % 6 == 3:
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif i % 6 == 4:
                stream.shutdown(socket.SHUT_WR)
            else:  # refused: a frame that is not masked
                stream.sendall(b"\x82\0")
            stream.close()
        within(lambda: len(list(descriptors.iterdir())) <= before, "the descriptors are closed")
        echo(stays, b"Hello")


# --- the arena

ARENA_BYTES, ARENA_MESSAGE = 64 * 1024, 4096
MESSAGES = HERE / "messages.mjs"


class Arena:
    """Starts a process of the program for each connection, as inetd does. What the processes have said is checked at the end."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.processes, self.peaks, self.worst = [], [], None
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                stream, _ = self.listener.accept()
            except OSError:
                return
            with stream:
                program = [OWN / "websocket-proto-arena"]
                self.processes.append(subprocess.Popen(program, stdin=stream, stdout=stream, stderr=subprocess.PIPE, text=True))

    def end(self, count):
        """All have ended well, each has printed its peak, and no peak is above the worst case that the program computes."""
        within(lambda: len(self.processes) >= count, f"{count} connections")
        for process in self.processes:
            lines = process.communicate(timeout=PATIENCE)[1]
            expect(process.returncode, 0, f"the status ({lines!r})")
            words = lines.replace(",", "").split()
            expect((words[0], words[3:5], words[-2]), ("peak", ["worst", "case"], "arena"), lines)
            peak, worst, arena = int(words[1]), int(words[5]), int(words[7])
            if not peak <= worst <= arena == ARENA_BYTES:
                raise AssertionError(lines)
            self.peaks.append(peak)
            self.worst = worst
        self.processes.clear()


def arena_hostile(arena):
    """Each of these would make a program without limits take more memory than the arena has."""
    noise = os.urandom(1 << 16)
    heads = [
        b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000,
        b"GET / HTTP/1.1\r\n" + b"a:\r\n" * 10_000,
        UPGRADE[:-2] + b"Sec-WebSocket-Protocol: " + b"a," * 2000 + b"b\r\n\r\n",
        noise,
        UPGRADE + noise,
    ]
    ping = b"\x89\xfd" + bytes(4) + b"p" * 125
    masked = lambda first, length: bytes([first, 0xFF]) + struct.pack("!Q", length) + bytes(4)
    frames = [
        (frame(b"x" * ARENA_MESSAGE) * 5000, None),  # many messages, whose echoes nobody reads
        (ping * 5000, None),
        ((frame(b"") + ping) * 5000, None),
        (b"\x02\x80" + bytes(4) + (b"\x00\x81" + bytes(4) + b"x") * 5000, b"\x03\xf1"),
        (masked(0x82, 1 << 62), b"\x03\xf1"),
        (frame(b"x" * (ARENA_MESSAGE + 1)), b"\x03\xf1"),
        (b"\x02\xfe\x0f\xff" + bytes(4) + b"x" * 4095 + b"\x00\xfe\x0f\xff" + bytes(4), b"\x03\xf1"),
        (b"\xc2\x81" + bytes(4) + noise, b"\x03\xea"),  # RSV1 without permessage-deflate
    ]

    def send(stream, data):
        try:
            stream.sendall(data)
        except OSError:  # the program has ended, or does not read
            pass

    for head in heads:
        with socket.create_connection(("127.0.0.1", arena.port), PATIENCE) as stream:
            stream.settimeout(2)
            send(stream, head)
    for data, code in frames:
        stream = connect(arena.port, buffers=4096)
        stream.settimeout(2)
        send(stream, data)
        if code:
            stream.settimeout(PATIENCE)
            seen = b""
            while more := stream.recv(MIB):
                seen += more
            at = seen.rfind(b"\x88")
            expect(seen[at + 2 : at + 4], code, "the code of the Close")
        stream.close()
    arena.end(len(heads) + len(frames))


def arena_python(arena):
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect as open_websocket

    url = f"ws://127.0.0.1:{arena.port}/"
    with open_websocket(url, compression=None) as ws:
        for size in [0, 1, 125, 126, 1000, ARENA_MESSAGE - 1, ARENA_MESSAGE] * 20:
            for message in ("x" * (size % 10) + "a\u00e9\u20ac\U0001f600" * (size // 10), os.urandom(size)):
                ws.send(message)
                expect(ws.recv(PATIENCE) == message, True, f"the echo of {size} bytes is the same")
        ws.send([b"x" * 100] * 40)
        expect(ws.recv(PATIENCE), b"x" * 4000, "the echo of fragments")
        ws.send(bytes(ARENA_MESSAGE + 1))
        try:
            ws.recv(PATIENCE)
        except ConnectionClosed as end:
            expect(end.rcvd and end.rcvd.code, 1009, "the code of the Close")
        else:
            raise AssertionError("too large a message is echoed")
    arena.end(1)


def arena_node(arena):
    sizes = [0, 1, 125, 126, 1000, ARENA_MESSAGE - 1, ARENA_MESSAGE, ARENA_MESSAGE + 1]
    status, lines, errors = run("node", MESSAGES, f"ws://127.0.0.1:{arena.port}/", *map(str, sizes))
    expect((status, lines), (0, [f"{size} ok" for size in sizes[:-1]] + [f"{sizes[-1]} closed 1009"]), errors)
    arena.end(1)


def arena_figures(arena):
    """docs/guide.md has the worst case that the program prints, and no peak was above the one on the page."""
    worst, peak = page_figures("compiled: ([0-9,]+) bytes for messages of up to 4 KiB. .* the peak is at most ([0-9,]+) bytes")
    expect(worst, arena.worst, "the worst case in docs/guide.md")
    expect(max(arena.peaks) <= peak, True, f"a peak of {max(arena.peaks)} bytes is at most the {peak} of docs/guide.md")


# --- wasm


def wasm_figures(file):
    """The sizes in docs/guide.md are those of the file within 5 %: compilers differ."""
    pages = page_figures("in a file of ([0-9,]+) KiB, or ([0-9,]+) KiB when compressed by gzip")
    for page, size in zip(pages, (len(file), len(gzip.compress(file)))):
        if abs(page * 1024 - size) > 0.05 * size:
            raise AssertionError(f"docs/guide.md says {page} KiB, the file has {size} bytes")


def wasm_on_ipv6(wasm):
    """An address in brackets."""
    with server(*wasm[:-1], "[::1]:0") as process:
        expect(process.url, f"ws://[::1]:{process.port}", "the URL")
        with socket.create_connection(("::1", process.port), PATIENCE) as stream:
            stream.sendall(UPGRADE)
            expect(read_head(stream)[9:12], b"101", "the status")


def wasm_many(process):
    """More connections than one, in turn and in parts; numbers of connections are used again."""
    for _ in range(2):
        streams = [connect(process.port) for _ in range(200)]
        data = frame(os.urandom(70_000))
        for part in (data[:1], data[1:40_000], data[40_000:]):
            for stream in streams:
                stream.sendall(part)
        for stream in streams:
            wanted = frame(data[14:], False)
            expect(read(stream, len(wanted)) == wanted, True, "the echo is the same")
        for stream in streams[::2]:
            stream.sendall(MASKED_CLOSE)
            expect(read(stream, 4), CLOSE, "the Close")
            expect(stream.recv(1), b"", "the end")
        for stream in streams:
            stream.close()
    echo(connect(process.port), b"Hello")


def wasm_half_close(process):
    """The peer ends its direction behind a message: the echo and the end arrive."""
    with connect(process.port) as stream:
        stream.sendall(frame(b"last") + MASKED_CLOSE)
        stream.shutdown(socket.SHUT_WR)
        wanted = frame(b"last", False) + CLOSE
        expect(read(stream, len(wanted)), wanted, "the frames")
        expect(stream.recv(1), b"", "the end")


# --- TLS


def certificate(directory):
    """A key and a certificate for localhost and 127.0.0.1, for servers of others."""
    key, cert = directory / "key.pem", directory / "own.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        + ["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", cert],
        check=True,
        capture_output=True,
    )
    return key, cert


def tls_open(process, certificate):
    context = ssl.create_default_context(cafile=certificate)
    raw = socket.create_connection(("127.0.0.1", process.port), PATIENCE)
    # Without the second option, an end without a close_notify looks like one with it.
    stream = context.wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=False)
    stream.sendall(UPGRADE)
    expect(read_head(stream)[9:12], b"101", "the status")
    return stream


def server_sends_close_notify(process, certificate):
    # RFC 8446 6.1: a party sends close_notify before it closes its write side.
    stream = tls_open(process, certificate)
    echo(stream, b"Hello" * 100_000)
    stream.sendall(MASKED_CLOSE)
    expect(read(stream, 4), CLOSE, "the Close")
    expect(stream.recv(1), b"", "a close_notify")
    stream.unwrap().close()
    expect(process.said(), "", "standard error")


TRANSPORT_ENDED = "transport ended without a Close frame"


def server_sees_close_notify(process, certificate):
    """A close_notify without a closing handshake is an abnormal end. It is answered by one."""
    stream = tls_open(process, certificate)
    before = process.said().count(TRANSPORT_ENDED)
    stream.unwrap().close()  # fails without the answer
    within(lambda: process.said().count(TRANSPORT_ENDED) == before + 1, "the end is reported")


def server_sees_a_cut(process, certificate):
    """The end of TCP without a close_notify, in the middle of a message."""
    stream = tls_open(process, certificate)
    before = process.said().count(TRANSPORT_ENDED)
    stream.sendall(frame(bytes(1000))[:500])
    socket.socket(fileno=stream.detach()).close()
    within(lambda: process.said().count(TRANSPORT_ENDED) == before + 1, "the end is reported")


def server_answers_a_half_close(process, certificate):
    """RFC 8446 6.1: after the peer's close_notify, this side may still be written. The echo is not lost."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context(cafile=certificate).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", process.port), PATIENCE) as raw:

        def step(function, *arguments):
            while True:
                try:
                    result = function(*arguments)
                except ssl.SSLWantReadError:
                    raw.sendall(outgoing.read())
                    more = raw.recv(65536)
                    if not more:
                        raise EOFError("TCP ends")
                    incoming.write(more)
                    continue
                return result

        step(tls.do_handshake)
        step(tls.write, UPGRADE)
        head = b""
        while b"\r\n\r\n" not in head:
            head += step(tls.read, 65536)
        tls.write(frame(b"last") + MASKED_CLOSE)
        try:
            tls.unwrap()  # sends the close_notify; the peer's is read below
        except ssl.SSLWantReadError:
            pass
        raw.sendall(outgoing.read())
        raw.shutdown(socket.SHUT_WR)
        records = b""
        while more := raw.recv(65536):
            records += more
    # OpenSSL does not decrypt after its own close_notify, so the types of the records are looked at: at least one of data with
    # both frames, and the alert. All are of the outer type 23 (RFC 8446 5.2), so their lengths tell them apart.
    lengths = []
    while records:
        size = struct.unpack("!H", records[3:5])[0]
        lengths.append(size)
        records = records[5 + size :]
    # 17 bytes are the inner type and the tag; an alert has 2 bytes.
    expect(lengths[-1], 2 + 17, "the length of the last record, the close_notify")
    expect(sum(lengths[:-1]) - 17 * len(lengths[:-1]), len(frame(b"last", False)) + len(CLOSE), "the bytes of the frames")


@contextmanager
def scripted_tls(key, own, script):
    """A TLS server that accepts one WebSocket and runs `script` with it. Yields its URL; raises what the script raises."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own, key)
    listener = socket.create_server(("127.0.0.1", 0))
    errors = []

    def serve():
        try:
            raw = listener.accept()[0]
            raw.settimeout(PATIENCE)
            stream = context.wrap_socket(raw, server_side=True, suppress_ragged_eofs=False)
            lines = read_head(stream).split(b"\r\n")
            key = next(line[19:] for line in lines if line.startswith(b"Sec-WebSocket-Key: "))
            accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
            stream.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            script(stream)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield "wss://localhost:%d/" % listener.getsockname()[1]
        thread.join(PATIENCE)
    finally:
        listener.close()
    if errors:
        raise errors[0]


def client_sends_close_notify(key, own):
    def script(stream):
        expect(read(stream, 11)[:2], b"\x81\x85", "the text")
        stream.sendall(b"\x81\x05Hello")
        expect(read(stream, 8)[:2], b"\x88\x82", "the Close")
        stream.sendall(CLOSE)
        stream.unwrap().close()  # RFC 6455 7.1.1: the server ends first. It fails without the client's close_notify

    with scripted_tls(key, own, script) as url:
        expect(run(OWN / "client", own, url, "Hello")[:2], (0, ["Hello"]), "status and output")


def client_sees_close_notify(key, own):
    def script(stream):
        read(stream, 11)  # OpenSSL does not accept data behind its close_notify
        stream.unwrap().close()  # fails without the client's close_notify

    with scripted_tls(key, own, script) as url:
        status, lines, errors = run(OWN / "client", own, url, "Hello")
    expect((status, lines, errors), (1, [], f"closed: {TRANSPORT_ENDED}\n"), "status and output")


def client_sees_a_cut(key, own):
    def script(stream):
        stream.sendall(b"\x81\x05Hel")
        read(stream, 11)  # unread bytes would make a reset
        socket.socket(fileno=stream.detach()).close()

    with scripted_tls(key, own, script) as url:
        status, lines, errors = run(OWN / "client", own, url, "Hello")
    expect((status, lines, errors), (1, [], f"closed: {TRANSPORT_ENDED}\n"), "status and output")


def client_refuses_a_certificate(key, own, trusted):
    """The server's certificate is none of those that the client trusts."""
    with server(sys.executable, HERE / "server.py", "127.0.0.1:0", own, key) as process:
        status, lines, errors = run(OWN / "client", trusted, process.url.replace("127.0.0.1", "localhost"), "Hello")
    expect((status, lines, "invalid peer certificate" in errors), (1, [], True), f"status and output ({errors})")


def client_with(own, *command):
    texts = ["Hello", "", "grüße", "x" * 100_000]
    with server(*command) as process:
        status, lines, errors = run(OWN / "client", own, process.url.replace("127.0.0.1", "localhost"), *texts)
    expect((status, lines), (0, texts), f"status and output ({errors})")


@contextmanager
def tinyproxy(*lines):
    """Debian's tinyproxy on a free port. Yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        configuration = Path(directory) / "tinyproxy.conf"
        settings = [f"Port {port}", "Listen 127.0.0.1", "Timeout 60", "Allow 127.0.0.1", *lines]
        configuration.write_text("\n".join(settings) + "\n")
        process = subprocess.Popen(["tinyproxy", "-d", "-c", configuration], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            def listens():
                with socket.socket() as probe:
                    return probe.connect_ex(("127.0.0.1", port)) == 0

            within(listens, "tinyproxy listens")
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def client_through_a_proxy(process, certificate):
    with tinyproxy() as proxy:
        url = f"wss://localhost:{process.port}/"
        status, lines, errors = run(OWN / "client", "--proxy", proxy, certificate, url, "Hello", "grüße")
        expect((status, lines), (0, ["Hello", "grüße"]), f"status and output ({errors})")


def client_at_a_proxy_that_refuses(process, certificate):
    with tinyproxy("ConnectPort 443") as proxy:
        url = f"wss://localhost:{process.port}/"
        status, lines, errors = run(OWN / "client", "--proxy", proxy, certificate, url, "Hello")
        expect((status, lines, errors), (1, [], "the proxy refuses: response status is 403\n"), "status and output")


def main():
    with tempfile.TemporaryDirectory() as directory:
        directory = Path(directory)
        trusted = directory / "certificate.pem"  # of our server
        rows = []
        if "programs" in PARTS:
            rows += [(name, [EXAMPLES / name, "127.0.0.1:0"], {}) for name in ("echo_server", "echo_threads", "echo_poll", "echo_tokio")]
        if "uring" in PARTS:
            rows.append(("io_uring", [OWN / "websocket-proto-io-uring", "127.0.0.1:0"], {}))
        if "tls" in PARTS:
            trust = {"SSL_CERT_FILE": str(trusted), "NODE_EXTRA_CA_CERTS": str(trusted)}
            rows.append(("wss (rustls)", [OWN / "server", "127.0.0.1:0", trusted], trust))
        wasm = ["node", HERE.parents[1] / "docs/examples/wasm/server.mjs", OWN.parent / WASM, "127.0.0.1:0"]
        if "wasm" in PARTS:
            rows += [("wasm in Node", wasm, {}), ("wasm in Node, deflate", wasm, {}, "--deflate")]
        if rows:
            table(rows)
        if "wasm" in PARTS:
            with server(*wasm) as process:
                report("wasm_many", wasm_many, process)
                report("wasm_half_close", wasm_half_close, process)
            report("wasm_on_ipv6", wasm_on_ipv6, wasm)
            file = (OWN.parent / WASM).read_bytes()
            report("wasm_figures", wasm_figures, file)
            print(f"        the .wasm has {len(file)} bytes, {len(gzip.compress(file))} by gzip")
        if "arena" in PARTS:
            arena = Arena()
            for check in (arena_python, arena_node, arena_hostile, arena_figures):
                report(check.__name__, check, arena)
            print(f"        peaks of the arena: {max(arena.peaks, default=0)} of {ARENA_BYTES} bytes at most")
        if "uring" in PARTS:
            with server(OWN / "websocket-proto-io-uring", "127.0.0.1:0") as process:
                report("uring_many", uring_many, process)
                for size in (8 * 1024, 256 * 1024):
                    report(f"uring_slow_reader, {size} bytes", uring_slow_reader, process, size)
                report("uring_leaving", uring_leaving, process)
        if "tls" in PARTS:
            with server(OWN / "server", "127.0.0.1:0", trusted) as process:
                for check in (
                    server_sends_close_notify,
                    server_sees_close_notify,
                    server_sees_a_cut,
                    server_answers_a_half_close,
                    client_through_a_proxy,
                    client_at_a_proxy_that_refuses,
                ):
                    report(check.__name__, check, process, trusted)
            key, own = certificate(directory)
            for check in (client_sends_close_notify, client_sees_close_notify, client_sees_a_cut):
                report(check.__name__, check, key, own)
            report("client_refuses_a_certificate", client_refuses_a_certificate, key, own, trusted)
            for name, *command in (
                ("Python websockets", sys.executable, HERE / "server.py"),
                ("Node ws", "node", HERE / "server.mjs"),
            ):
                report(f"client with {name}", client_with, own, *command, "127.0.0.1:0", own, key)
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
