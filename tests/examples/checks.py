"""Runs the example programs as processes, with each other and with raw sockets. Prints a line for each check, then
`N passed, N failed`. A check that cannot run counts as failed, with the reason.

    checks.py DIR [WORDS]       the programs are in DIR; runs only the checks with WORDS in their names
"""

import base64
import contextlib
import fcntl
import hashlib
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = Path(sys.argv[1])
SERVERS = ("echo_server", "echo_threads", "echo_poll", "chat_tokio")
ECHO_SERVERS = SERVERS[:3]
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
MIB = 1 << 20
# The longest time for one step, in seconds.
PATIENCE = 20


# --- programs


class Server:
    """A server process that runs during a `with` block. `address` is the first address on which it listens."""

    def __init__(self, name, address="127.0.0.1:0", listeners=1, prefix=(), env=None, arguments=()):
        self.log = tempfile.NamedTemporaryFile()
        self.process = subprocess.Popen(
            [*prefix, PROGRAMS / name, *(["--listen"] if name == "playground" else []), address, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env={**os.environ, **(env or {})},
        )
        late = threading.Timer(PATIENCE, self.process.kill)
        late.start()
        self.addresses = []
        for _ in range(listeners):
            line = self.process.stdout.readline()
            found = re.fullmatch(r"(?:listening on ws|open http)://([^/]+)/?\n", line)
            if not found:
                self.stop()
                raise AssertionError(f"{name} does not listen: {line!r} {self.said()!r}")
            self.addresses.append(found[1])
        late.cancel()
        self.address = self.addresses[0]

    def said(self):
        """Returns what the program wrote to standard error. A new open does not move the position of the program."""
        return Path(self.log.name).read_text()

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def resident_bytes(self):
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    @contextmanager
    def paused(self):
        """Stops the process during a `with` block. Afterwards it sees everything that has arrived at once."""
        self.process.send_signal(signal.SIGSTOP)
        stat = Path(f"/proc/{self.process.pid}/stat")
        within(PATIENCE, lambda: ") T " in stat.read_text(), "it has stopped")
        yield
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def run(name, *arguments, stdin=b""):
    """Runs a program to its end. Returns status, standard output, standard error and seconds."""
    begin = time.monotonic()
    done = subprocess.run([PROGRAMS / name, *arguments], input=stdin, capture_output=True, timeout=PATIENCE)
    return done.returncode, done.stdout.decode(), done.stderr.decode(), time.monotonic() - begin


def expect(seen, expected, what=""):
    if seen != expected:
        raise AssertionError(f"{what}: expected {expected!r}, saw {seen!r}")


def within(seconds, condition, what):
    """Waits until the condition is true."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


# --- peers on raw sockets


def split(address):
    host, port = address.rsplit(":", 1)
    return host.strip("[]"), int(port)


def read_head(stream):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = stream.recv(1)
        if not byte:
            raise AssertionError(f"the head ends: {head!r}")
        head += byte
    return head


class Peer:
    """One endpoint of a WebSocket connection. A client masks with the key 0, which changes no byte."""

    def __init__(self, stream, is_client):
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream.settimeout(PATIENCE)
        self.stream, self.is_client = stream, is_client

    @classmethod
    def request(cls, address, origin=None, buffers=None, extensions=None, target="/"):
        """Connects and sends an upgrade request. `buffers` sets the sizes of the socket buffers, in bytes."""
        host, port = split(address)
        stream = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if buffers:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffers)
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffers)
        peer = cls(stream, True)
        stream.connect((host, port))
        head = f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n".encode()
        head += b"Sec-WebSocket-Version: 13\r\n"
        head += b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        if origin:
            head += b"Origin: " + origin.encode() + b"\r\n"
        if extensions:
            head += b"Sec-WebSocket-Extensions: " + extensions.encode() + b"\r\n"
        peer.stream.sendall(head + b"\r\n")
        return peer

    def status(self):
        return int(read_head(self.stream).split()[1])

    @classmethod
    def open(cls, address, **options):
        peer = cls.request(address, **options)
        expect(peer.status(), 101, "the status")
        return peer

    @classmethod
    def accept(cls, listener):
        peer = cls(listener.accept()[0], False)
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", read_head(peer.stream))[1].decode()
        peer.stream.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_of(key) + b"\r\n\r\n"
        )
        return peer

    def frame(self, opcode, payload=b""):
        mask = 0x80 if self.is_client else 0
        n = len(payload)
        if n < 126:
            header = struct.pack("!BB", 0x80 | opcode, mask | n)
        elif n < 65536:
            header = struct.pack("!BBH", 0x80 | opcode, mask | 126, n)
        else:
            header = struct.pack("!BBQ", 0x80 | opcode, mask | 127, n)
        return header + bytes(4 if mask else 0) + payload

    def send(self, opcode, payload=b""):
        self.stream.sendall(self.frame(opcode, payload))

    def read(self, n):
        data = bytearray()
        while len(data) < n:
            piece = self.stream.recv(n - len(data))
            if not piece:
                raise EOFError(f"the end after {len(data)} of {n} bytes")
            data += piece
        return bytes(data)

    def receive(self):
        """Reads the next frame. Returns opcode and payload."""
        first, n = self.read(2)
        key = None
        if n & 0x80:
            n &= 0x7F
        if n == 126:
            n = struct.unpack("!H", self.read(2))[0]
        elif n == 127:
            n = struct.unpack("!Q", self.read(8))[0]
        if not self.is_client:
            key = self.read(4)
        payload = self.read(n)
        if key:
            payload = bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))
        return first & 15, payload

    def wait_until_sent(self):
        """Waits until the kernel of the other endpoint has received everything that was sent."""
        within(PATIENCE, lambda: fcntl.ioctl(self.stream, termios.TIOCOUTQ, bytes(4)) == bytes(4), "all is sent")

    def reset(self):
        """Closes the socket with unread bytes, which sends a TCP reset."""
        self.wait_until_sent()
        self.stream.recv(1, socket.MSG_PEEK)
        self.stream.close()

    def close(self, code):
        """Performs the closing handshake and waits for the end of the stream. A server shuts down its side first."""
        self.send(CLOSE, struct.pack("!H", code))
        expect(self.receive(), (CLOSE, struct.pack("!H", code)))
        if not self.is_client:
            self.stream.shutdown(socket.SHUT_WR)
        self.expect_end()

    def expect_end(self):
        expect(self.stream.recv(1), b"", "the end of the stream")
        self.stream.close()


def accept_of(key):
    digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    return base64.b64encode(digest)


def http(address, line):
    """Sends a request. Returns status and body."""
    with socket.create_connection(split(address), PATIENCE) as stream:
        stream.sendall(line.encode() + b"\r\nHost: x\r\n\r\n")
        response = b""
        while piece := stream.recv(65536):
            response += piece
    head, _, body = response.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


@contextmanager
def scripted(script):
    """A server on a raw socket whose clients are served by `script`. Yields its URL, and fails if the script fails."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as thread:
        listener.settimeout(PATIENCE)
        done = thread.submit(lambda: script(listener))
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/"
        done.result()


# --- checks

CHECKS = []


def check(name, *cases):
    """Makes a function a check, or one check for each case, with the case as its argument. Slow checks are first."""

    def add(function):
        for case in cases or [None]:
            arguments = [] if case is None else [case]
            CHECKS.append((f"{case}: {name}" if cases else name, function, arguments))
        return function

    return add


def send_40_mib(peer):
    for i in range(40):
        peer.send(BINARY, bytes([i]) * MIB)


# The address of the README's program.
README_ADDRESS = "127.0.0.1:9001"
# The checks that need its port take turns.
README_PORT = threading.Lock()


@check("echo: both ends send 40 MiB at once, and the write timeout ends the connection")
def both_ends_send_to_the_readmes_program():
    with README_PORT:
        fill_both_directions()


def fill_both_directions():
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(split(README_ADDRESS))  # fails if the port is in use
    process = subprocess.Popen([PROGRAMS / "echo"], stdout=subprocess.PIPE, text=True)
    try:

        def is_listening():
            with socket.socket() as probe:
                return probe.connect_ex(split(README_ADDRESS)) == 0

        within(PATIENCE, is_listening, "echo listens")
        begin = time.monotonic()
        # Fixed buffers: while the kernel enlarges buffers, blocked writes take longer than two timeouts to end.
        peer = Peer.open(README_ADDRESS, buffers=65536)
        peer.stream.settimeout(120)
        try:
            send_40_mib(peer)
            while True:
                peer.receive()
        except (OSError, EOFError):
            seconds = time.monotonic() - begin
        # The first write that times out has written some bytes, the second none. Then it waits 5 s for a Close.
        if not 55 < seconds < 110:
            raise AssertionError(f"it took {seconds:.1f} s")
        while "TimedOut(Close)" not in (line := process.stdout.readline()):
            if not line:
                raise AssertionError("it did not say how that ended")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@check("a peer that does not answer the Close is dropped after a timeout", "echo_poll", "chat_tokio")
def signal_with_a_mute_peer(name):
    with Server(name) as server:
        peer = Peer.open(server.address)
        begin = time.monotonic()
        server.process.terminate()
        expect(peer.receive(), (CLOSE, b"\x03\xe9"))
        with socket.socket() as late:
            expect(late.connect_ex(split(server.address)) != 0, True, "nobody is accepted any more")
        expect(server.process.wait(PATIENCE), 0, "exit status")
        seconds = time.monotonic() - begin
        if not 4 < seconds < 8:
            raise AssertionError(f"it took {seconds:.1f} s")


@check("both ends send 40 MiB at once, and all of it is echoed", "echo_threads")
def both_ends_send(name):
    with Server(name) as server:
        peer = Peer.open(server.address)
        send_40_mib(peer)
        for i in range(40):
            expect(peer.receive() == (BINARY, bytes([i]) * MIB), True, f"message {i} comes back")
        peer.close(1000)
        expect(server.said(), "")


@check("a peer that reads late gets all its echoes", *ECHO_SERVERS, "echo_tokio")
def late_reader(name):
    with Server(name) as server, ThreadPoolExecutor(1) as thread:
        peer = Peer.open(server.address)
        # More than any queue holds: the server must stop reading, and continue when there is room.
        sent = thread.submit(lambda: [peer.send(BINARY, bytes([i]) * MIB) for i in range(64)])
        time.sleep(1)
        expect(sent.done(), False, "all was read")
        for i in range(64):
            expect(peer.receive() == (BINARY, bytes([i]) * MIB), True, f"message {i} comes back")
        peer.close(1000)
        expect(server.said(), "")


@check("clients that wait for a descriptor are served when descriptors are free", *SERVERS, "echo_tokio")
def few_descriptors(name):
    with Server(name, prefix=("sh", "-c", 'ulimit -n "$0" && exec "$@"', "24")) as server:
        waiting = [Peer.request(server.address) for _ in range(60)]
        rounds = 0
        while waiting:
            ready, _, _ = select.select([peer.stream for peer in waiting], [], [], 5)
            if not ready:
                raise AssertionError(f"{len(waiting)} clients are not served after round {rounds}")
            time.sleep(0.3)  # opens as many as possible
            ready, _, _ = select.select([peer.stream for peer in waiting], [], [], 0)
            served = [peer for peer in waiting if peer.stream in ready]
            waiting = [peer for peer in waiting if peer.stream not in ready]
            for peer in served:
                expect(peer.status(), 101, "the status")
                peer.close(1000)
            rounds += 1
        expect(rounds > 1, True, "the descriptors were too few")
        expect(server.process.poll(), None, "it still runs")


# Not for echo_threads: its queue is moved to the thread that writes, and no memory is kept.
@check("memory of idle connections is freed", "echo_server", "echo_poll")
def idle_memory(name):
    # The allocator returns blocks of 4 KiB and more to the system at once.
    with Server(name, env={"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=4096"}) as server:
        peers = [Peer.open(server.address) for _ in range(200)]
        for peer in peers:
            peer.send(BINARY, bytes(15_000))
            expect(peer.receive()[0], BINARY)
        busy = server.resident_bytes()
        time.sleep(2.5)
        freed = busy - server.resident_bytes()
        if freed < 200 * 10_000:
            raise AssertionError(f"of {busy} bytes {freed} are freed")


@check("SIGINT and SIGTERM close all connections with 1001, and the exit status is 0", "echo_poll", "chat_tokio")
def signals(name):
    for number in (signal.SIGINT, signal.SIGTERM):
        with Server(name) as server:
            peers = [Peer.open(server.address) for _ in range(3)]
            half = socket.create_connection(split(server.address), PATIENCE)
            half.sendall(b"GET / HT")
            time.sleep(0.1)
            server.process.send_signal(number)
            for peer in peers:
                expect(peer.receive(), (CLOSE, b"\x03\xe9"))
                peer.send(CLOSE, b"\x03\xe9")
                peer.expect_end()
            expect(server.process.wait(3), 0, "exit status")
            half.close()


@check("a Close with 1009 before a reset is received, even if a write fails", *SERVERS)
def last_word(name):
    # The echoes are more than the socket buffers hold.
    count, size = (110, 60_000) if name == "chat_tokio" else (1, 12 * MIB)
    with Server(name) as server:
        peer = Peer.open(server.address)
        before = server.descriptors() - 1
        peer.close(1000)
        for _ in range(6):
            peer = Peer.open(server.address)
            peer.stream.sendall(peer.frame(BINARY, bytes(size)) * count)
            peer.read(1000)
            time.sleep(0.1)  # the server writes as much as it can
            with server.paused():
                # The Close comes behind other bytes, so that a write fails before the Close is read.
                peer.stream.sendall(peer.frame(PONG, bytes(125)) * 300)
                peer.send(CLOSE, b"\x03\xf1too big")
                peer.reset()
        within(PATIENCE, lambda: server.descriptors() == before, "the connections are gone")
        expect(server.said(), "")
        # A peer that ends without a Close is reported.
        peer = Peer.open(server.address)
        peer.stream.close()
        within(PATIENCE, lambda: "not closed cleanly: transport ended" in server.said(), "it says so")


@check("the end of the stream is seen when it arrives together with bytes", *SERVERS, "echo_tokio")
def end_with_bytes(name):
    with Server(name) as server:
        peer = Peer.open(server.address)
        with server.paused():
            peer.send(TEXT, b"Hello")
            peer.stream.shutdown(socket.SHUT_WR)
            time.sleep(0.1)
        peer.stream.settimeout(5)
        while peer.stream.recv(100):
            pass


@check("bytes that one turn does not read are read in the next turn, without a new event", "echo_poll")
def many_turns(name):
    with Server(name) as server:
        peer = Peer.open(server.address)
        for _ in range(4):  # the kernel enlarges the socket buffers
            peer.send(BINARY, bytes(12 * MIB))
            expect(peer.receive()[0], BINARY)
        with server.paused():
            peer.send(BINARY, bytes(MIB // 2))
            peer.wait_until_sent()
        peer.stream.settimeout(5)
        expect(len(peer.receive()[1]), MIB // 2)


@check("a message is echoed", *SERVERS, "echo_tokio")
def comes_back(name):
    with Server(name) as server:
        status, out, error, _ = run("client", f"ws://{server.address}/", "--once", "Hellö")
        expect((status, out, error), (0, "Hellö\n", "open\nclosed: 1000 \n"))


@check("a plain request gets the right status", *SERVERS)
def plain_requests(name):
    with Server(name) as server:
        expect(http(server.address, "GET /nothing HTTP/1.1")[0], 404)
        old = "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8"
        expect(http(server.address, old)[0], 426)


@check("the page, also for an absolute URI as the target", "playground")
def page(name):
    with Server(name) as server:
        title = b"<title>WebSocket playground</title>"
        for target in ("/", f"http://{server.address}/", f"http://{server.address}"):
            status, body = http(server.address, f"GET {target} HTTP/1.1")
            expect((status, title in body), (200, True), target)
        # Each file that the page and its modules name.
        seen, files = set(), {"/"}
        while files:
            seen.add(file := files.pop())
            status, body = http(server.address, f"GET {file} HTTP/1.1")
            expect(status, 200, file)
            found = re.findall(rb'(?:href|src|from|import)[= ]"\.?(/[\w.]+)"', body)
            files |= {name.decode() for name in found} - seen
        expect(len(seen) > 10, True, seen)
        expect(http(server.address, f"GET http://{server.address}/nothing HTTP/1.1")[0], 404)
        expect(http(server.address, "HEAD / HTTP/1.1"), (200, b""))
        expect(http(server.address, "POST / HTTP/1.1\r\nContent-Length: 0")[0], 405)
        expect(http(server.address, "GET /ws HTTP/1.1")[0], 426)


@check("playground: echoes; a foreign origin is refused; a signal closes with 1001")
def playground():
    for number in (signal.SIGINT, signal.SIGTERM):
        with Server("playground") as server:
            expect(Peer.request(server.address, "http://example.com", target="/ws").status(), 403)
            peer = Peer.open(server.address, origin=f"http://{server.address}", target="/ws")
            peer.send(TEXT, b"Hello")
            expect(peer.receive(), (TEXT, b"Hello"))
            server.process.send_signal(number)
            expect(peer.receive(), (CLOSE, struct.pack("!H", 1001)))
            peer.send(CLOSE, struct.pack("!H", 1001))
            peer.expect_end()
            expect(server.process.wait(PATIENCE), 0)


@check("playground: if port 9001 is in use, it takes the next one and says so")
def next_port():
    with README_PORT, contextlib.ExitStack() as stack:
        # A program outside of these checks may have the port already, which is the same for the playground.
        with contextlib.suppress(OSError):
            stack.enter_context(socket.create_server(split(README_ADDRESS)))
        process = subprocess.Popen([PROGRAMS / "playground"], stdout=subprocess.PIPE, text=True)
        try:
            expect(process.stdout.readline(), "127.0.0.1:9001 is in use, taking the next free port\n")
            line = process.stdout.readline()
            expect(re.fullmatch(r"open http://127\.0\.0\.1:90\d\d/\n", line) is not None, True, line)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


@check("IPv6", *SERVERS, "echo_tokio")
def ipv6(name):
    with Server(name, "[::1]:0") as server:
        status, out, _, _ = run("client", f"ws://{server.address}/", "--once", "Hello")
        expect((status, out), (0, "Hello\n"))


@check("localhost stands for its IPv4 and its IPv6 address", "echo_server")
def localhost(name):
    found = {info[0] for info in socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)}
    with tempfile.NamedTemporaryFile("w") as hosts:
        prefix = ()
        if len(found) < 2:
            # `localhost` has only an IPv4 address on this machine: the program gets another /etc/hosts.
            hosts.write("127.0.0.1 localhost\n::1 localhost\n")
            hosts.flush()
            enter = ["unshare", "--mount"] + (["--map-root-user"] if os.geteuid() else [])
            prefix = (*enter, "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', hosts.name)
        with Server(name, "localhost:0", listeners=2, prefix=prefix) as server:
            expect({split(address)[0] for address in server.addresses}, {"127.0.0.1", "::1"})
            for address in server.addresses:
                status, out, _, _ = run("client", f"ws://{address}/", "--once", "Hello")
                expect((status, out), (0, "Hello\n"), address)


@check("the error names a port in use", *SERVERS)
def port_in_use(name):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        status, out, error, _ = run(name, address)
        expect((status, out), (1, ""))
        expect(error.startswith(f"cannot listen on {address}: Address already in use"), True, error)
    status, out, error, _ = run(name, "nothing")
    expect((status, out, error.startswith("cannot listen on nothing: ")), (1, "", True), error)


WRONG_ARGUMENTS = {
    "echo_server": (["--compress"], ["127.0.0.1:0", "--compress"], ["127.0.0.1:0", "127.0.0.1:0"]),
    "echo_threads": (["--deflate"], ["127.0.0.1:0", "x"]),
    "echo_poll": (["--deflate"], ["127.0.0.1:0", "x"]),
    "chat_tokio": (["--deflate"], ["127.0.0.1:0", "x"]),
    "playground": (["127.0.0.1:0"], ["--listen"], ["--listen", "127.0.0.1:0", "x"]),
    "client": ([], ["--once"], ["ws://127.0.0.1:1/", "--twice", "x"], ["ws://127.0.0.1:1/", "--once"]),
    "decode": ([], ["--client"], ["x"]),
    "proxy": ([], ["127.0.0.1:0"], ["127.0.0.1:0", "127.0.0.1:1", "x"]),
    "million": (["x"], ["1", "2"], ["--json"]),
    "autobahn_client": ([], ["--deflate"], ["ws://127.0.0.1:1", "x"]),
    "echo_check": ([], ["ws://127.0.0.1:1", "x"]),
    "scripted_server": ([], ["--deflate"], ["127.0.0.1:0", "x"]),
}


@check("wrong arguments are reported before anything else", *WRONG_ARGUMENTS)
def wrong_arguments(name):
    for arguments in WRONG_ARGUMENTS[name]:
        status, out, error, _ = run(name, *arguments)
        expect((status, out), (2, ""), arguments)
        expect(error.startswith(f"usage: {name}"), True, error)


@check("only pages from the server's own address and port may connect", "127.0.0.1:0", "[::1]:0")
def origins(address):
    with Server("chat_tokio", address) as server:
        port = split(server.address)[1]
        for origin, status in [
            (f"http://{server.address}", 101),
            (f"http://localhost:{port}", 101),
            (None, 101),
            ("http://127.0.0.1:9001", 403),
            (f"http://example.com:{port}", 403),
        ]:
            expect(Peer.request(server.address, origin).status(), status, origin)


@check("chat_tokio: a message is sent to all clients")
def chat():
    with Server("chat_tokio") as server:
        peers = [Peer.open(server.address) for _ in range(3)]
        for peer in peers:
            peer.send(TEXT, b"Hello")
            for other in peers:
                expect(other.receive(), (TEXT, b"Hello"))


@check("chat_tokio: many messages in one segment reach all clients, and disconnect none")
def chat_burst():
    with Server("chat_tokio") as server:
        peers = [Peer.open(server.address) for _ in range(3)]
        said = [str(n).encode() for n in range(2000)]
        peers[0].stream.sendall(b"".join(peers[0].frame(TEXT, text) for text in said))
        for peer in peers:
            for text in said:
                expect(peer.receive(), (TEXT, text))


@check("client: piped lines are sent, and the echoes are received")
def piped_lines():
    with Server("echo_server") as server:
        for lines in (b"hello\n", b"hello"):
            status, out, error, seconds = run("client", f"ws://{server.address}/", stdin=lines)
            expect((status, out, error), (0, "hello\n", "open\nclosed: 1000 \n"))
            if not 1.9 < seconds < 5:
                raise AssertionError(f"it took {seconds:.1f} s")


@check("client: it waits for the server to close, and then ends at once")
def late_answer():
    def answer_late(listener):
        peer = Peer.accept(listener)
        expect(peer.receive(), (TEXT, b"hello"))
        time.sleep(1)
        peer.send(TEXT, b"late")
        peer.send(CLOSE, b"\x03\xe8bye")
        expect(peer.receive(), (CLOSE, b"\x03\xe8"))
        peer.stream.shutdown(socket.SHUT_WR)
        peer.expect_end()  # the program ends its side, too

    with scripted(answer_late) as url:
        status, out, error, seconds = run("client", url, stdin=b"hello\n")
    expect((status, out, error), (0, "late\n", "open\nclosed: 1000 bye\n"))
    if not 1 <= seconds < 1.9:
        raise AssertionError(f"it took {seconds:.1f} s")


@check("client: a line that is not UTF-8 is reported, and the next line is sent")
def bad_line():
    with Server("echo_server") as server:
        status, out, error, _ = run("client", f"ws://{server.address}/", stdin=b"a\n\xff\nb\n")
        expect((status, out), (0, "a\nb\n"))
        expect("not sent: a line that is not UTF-8\n" in error, True, error)


@check("client: a Close with 1009 before a reset is received")
def last_word_of_a_server():
    def refuse_upload(listener):
        peer = Peer.accept(listener)
        peer.read(1000)
        peer.send(CLOSE, b"\x03\xf1too big")
        peer.reset()

    with scripted(refuse_upload) as url:
        status, out, error, _ = run("client", url, stdin=b"x" * (32 * MIB))
    expect((status, out, error), (0, "", "open\nclosed: 1009 too big\n"))


@check("client: SIGINT and SIGTERM close with 1001")
def client_signals():
    with Server("echo_server") as server:
        for number in (signal.SIGINT, signal.SIGTERM):
            client = subprocess.Popen(
                [PROGRAMS / "client", f"ws://{server.address}/"], stdin=subprocess.PIPE, stderr=subprocess.PIPE
            )
            expect(client.stderr.readline(), b"open\n")
            client.send_signal(number)
            expect((client.communicate(timeout=PATIENCE)[1], client.returncode), (b"closed: 1001 \n", 0))


@check("client: a failure is named, and the exit status is 1")
def failures():
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
    status, out, error, _ = run("client", f"ws://{address}/")
    expect((status, out), (1, ""))
    expect(error.startswith(f"cannot connect to {address}: Connection refused"), True, error)

    def refuse(listener):
        stream = listener.accept()[0]
        read_head(stream)
        stream.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\nnot you")
        stream.close()

    with scripted(refuse) as url:
        status, out, error, _ = run("client", url)
    expect((status, out, error), (1, "", "refused with status 403\nnot you\n"))

    def leave(listener):
        Peer.accept(listener).stream.close()

    with scripted(leave) as url:
        status, out, error, _ = run("client", url, "--once", "hello")
    expect((status, out), (1, ""))
    expect("not closed cleanly: " in error, True, error)


@check("autobahn_client: asks for the number of cases, echoes in each case, and asks for the report")
def autobahn_client():
    def fuzzing_server(listener):
        peer = Peer.accept(listener)
        peer.send(TEXT, b"2")
        peer.close(1000)
        for _ in range(2):
            peer = Peer.accept(listener)
            peer.send(BINARY, b"case")
            expect(peer.receive(), (BINARY, b"case"))
            peer.stream.close()  # a case may end in any way
        Peer.accept(listener).close(1000)

    with scripted(fuzzing_server) as url:
        status, out, error, _ = run("autobahn_client", url.removesuffix("/"))
    expect((status, out, error), (0, "2 cases\n", ""))


@check("proxy: both ends send 40 MiB at once, and all of it is echoed")
def proxy_in_both_directions():
    with Server("echo_threads") as server, Server("proxy", arguments=(server.address,)) as proxy:
        peer = Peer.open(proxy.address)
        send_40_mib(peer)
        for i in range(40):
            expect(peer.receive() == (BINARY, bytes([i]) * MIB), True, f"message {i} comes back")
        peer.send(9, b"ping")
        expect(peer.receive(), (PONG, b"ping"))
        peer.close(1000)
        expect((proxy.said(), server.said()), ("", ""))


@check("proxy: its memory is bounded if a peer does not read")
def proxy_with_a_late_reader():
    with Server("echo_threads") as server, Server("proxy", arguments=(server.address,)) as proxy:
        peer = Peer.open(proxy.address)
        with ThreadPoolExecutor(1) as thread:
            sent = thread.submit(lambda: [peer.send(BINARY, bytes([i]) * MIB) for i in range(64)])
            time.sleep(1)
            expect(sent.done(), False, "all was read")
            if proxy.resident_bytes() > 8 * MIB:
                raise AssertionError(f"the proxy has {proxy.resident_bytes()} bytes")
            for i in range(64):
                expect(peer.receive() == (BINARY, bytes([i]) * MIB), True, f"message {i} comes back")
        peer.close(1000)


@check("proxy: the front of a frame is passed on before its rest has arrived")
def proxy_streams():
    rest, served = threading.Event(), threading.Event()

    def half(listener):
        peer = Peer.accept(listener)
        expect(peer.read(2 + 2 + 4)[:4], b"\x82\xfe\x03\xe8", "the header")
        peer.read(500)
        rest.set()
        peer.read(500)
        peer.close(1001)
        served.set()

    with scripted(half) as url, Server("proxy", arguments=(url[5:-1],)) as proxy:
        peer = Peer.open(proxy.address)
        frame = peer.frame(BINARY, bytes(1000))
        peer.stream.sendall(frame[:508])
        expect(rest.wait(PATIENCE), True, "the server has the front")
        peer.stream.sendall(frame[508:])
        expect(peer.receive(), (CLOSE, b"\x03\xe9"))
        peer.send(CLOSE, b"\x03\xe9")
        peer.expect_end()
        served.wait(PATIENCE)  # the proxy is stopped behind this


@check("proxy: compressed messages are passed on as they are if both sides agree, and are not used otherwise")
def proxy_with_compression():
    deflater, inflater = zlib.compressobj(wbits=-15), zlib.decompressobj(-15)

    def compressed(text):
        return (deflater.compress(text) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]

    for arguments, is_agreed in ((("--deflate",), True), ((), False)):
        with Server("echo_server", arguments=arguments) as server, Server("proxy", arguments=(server.address,)) as proxy:
            peer = Peer.request(proxy.address, extensions="permessage-deflate; client_max_window_bits")
            head = read_head(peer.stream)
            expect(head.split()[1], b"101", "the status")
            expect(b"permessage-deflate" in head, is_agreed, "permessage-deflate is agreed")
            text = b"the same text, again and again. " * 20
            for _ in range(3 if is_agreed else 0):
                frame = bytearray(peer.frame(TEXT, compressed(text)))
                frame[0] |= 0x40
                peer.stream.sendall(frame)
                first, n = peer.read(2)
                expect((first, n < 126), (0xC1, True), "the header")
                expect(inflater.decompress(peer.read(n) + b"\x00\x00\xff\xff"), text, "the echo")
            peer.send(TEXT, b"plain")
            expect(peer.receive(), (TEXT, b"plain"))
            peer.close(1000)
            expect(proxy.said(), "")


@check("proxy: pings, pongs and Close frames pass from end to end", True, False)
def proxy_passes_control_frames(does_client_begin):
    def begin(peer):
        peer.send(PING, b"to the other end")
        expect(peer.receive(), (PONG, b"by hand"), "the pong is that of the other end")
        peer.send(CLOSE, b"\x0f\xa1the first Close")
        expect(peer.receive(), (CLOSE, b"\x0f\xa2the answer"), "the answer is that of the other end")

    def answer(peer):
        expect(peer.receive(), (PING, b"to the other end"), "the ping")
        peer.send(PONG, b"by hand")
        expect(peer.receive(), (CLOSE, b"\x0f\xa1the first Close"), "the Close")
        # The other end has sent its Close, but has no answer yet, so it still receives.
        peer.send(CLOSE, b"\x0f\xa2the answer")

    served = threading.Event()

    def serve(listener):
        peer = Peer.accept(listener)
        (answer if does_client_begin else begin)(peer)
        peer.stream.shutdown(socket.SHUT_WR)
        peer.expect_end()
        served.set()

    with scripted(serve) as url, Server("proxy", arguments=(url[5:-1],)) as proxy:
        peer = Peer.open(proxy.address)
        (begin if does_client_begin else answer)(peer)
        peer.expect_end()
        served.wait(PATIENCE)  # the proxy is stopped behind this
        expect(proxy.said(), "")


@check("proxy: messages behind a Close of one end still reach it, and a Close without a code has none at the other end")
def proxy_with_a_late_message():
    served = threading.Event()

    def finish(listener):
        peer = Peer.accept(listener)
        peer.stream.sendall(peer.frame(BINARY, bytes(1000))[:500])
        expect(peer.receive(), (CLOSE, b""), "a Close within the frame of the other direction")
        peer.stream.sendall(peer.frame(BINARY, bytes(1000))[500:])
        peer.send(TEXT, b"last")
        peer.send(CLOSE, b"\x03\xe8")
        peer.stream.shutdown(socket.SHUT_WR)
        peer.expect_end()
        served.set()

    with scripted(finish) as url, Server("proxy", arguments=(url[5:-1],)) as proxy:
        peer = Peer.open(proxy.address)
        front = peer.read(100)
        peer.send(CLOSE)
        expect((front + peer.read(904))[:4], b"\x82\x7e\x03\xe8", "the frame")
        expect(peer.receive(), (TEXT, b"last"))
        expect(peer.receive(), (CLOSE, b"\x03\xe8"))
        peer.expect_end()
        served.wait(PATIENCE)
        expect(proxy.said(), "")


@check("proxy: what ends one side is passed on to the other")
def proxy_ends():
    with Server("proxy", arguments=("127.0.0.1:1",)) as proxy:
        expect(Peer.request(proxy.address).status(), 502, "no server")
        expect(http(proxy.address, "GET / HTTP/1.1")[0], 404, "a plain request")

    def refuse(listener):
        stream = listener.accept()[0]
        read_head(stream)
        stream.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        stream.close()

    with scripted(refuse) as url, Server("proxy", arguments=(url[5:-1],)) as proxy:
        expect(Peer.request(proxy.address).status(), 403, "the server's status")

    def leave(listener):
        Peer.accept(listener).stream.close()

    with scripted(leave) as url, Server("proxy", arguments=(url[5:-1],)) as proxy:
        expect(Peer.open(proxy.address).receive()[1][:2], b"\x03\xe9", "the code for the client")

    def leave_in_a_frame(listener):
        peer = Peer.accept(listener)
        peer.stream.sendall(peer.frame(TEXT, b"cut")[:3])
        peer.stream.close()

    with scripted(leave_in_a_frame) as url, Server("proxy", arguments=(url[5:-1],)) as proxy:
        peer = Peer.open(proxy.address)
        expect(peer.read(3), b"\x81\x03c", "the front of the frame")
        peer.expect_end()

    closed = threading.Event()

    def leave_after_the_close(listener):
        peer = Peer.accept(listener)
        peer.stream.sendall(peer.frame(TEXT, b"cut")[:3])
        expect(peer.receive(), (CLOSE, b"\x03\xe8"))
        closed.set()
        peer.stream.close()

    with scripted(leave_after_the_close) as url, Server("proxy", arguments=(url[5:-1],)) as proxy:
        peer = Peer.open(proxy.address)
        expect(peer.read(3), b"\x81\x03c", "the front of the frame")
        peer.send(CLOSE, b"\x03\xe8")
        expect(closed.wait(PATIENCE), True, "the Close arrives")
        begin = time.monotonic()
        peer.expect_end()
        expect(time.monotonic() - begin < 2, True, "nothing waits for the rest of the frame")

    told = threading.Event()

    def see_the_client_leave(listener):
        peer = Peer.accept(listener)
        expect(peer.receive()[1][:2], b"\x03\xe9", "the code for the server")
        told.set()

    with scripted(see_the_client_leave) as url, Server("proxy", arguments=(url[5:-1],)) as proxy:
        Peer.open(proxy.address).stream.close()
        told.wait(PATIENCE)  # the proxy is stopped behind this


def outcome(name, function, arguments):
    begin = time.monotonic()
    try:
        function(*arguments)
        why = ""
    except Exception as error:  # an exception fails only this check
        why = f": {type(error).__name__}: {error}"
    return f"{'FAILED' if why else 'ok    '}  {name} ({time.monotonic() - begin:.1f} s){why}", not why


def main():
    words = " ".join(sys.argv[2:])
    with ThreadPoolExecutor(4) as threads:
        outcomes = [threads.submit(outcome, *one) for one in CHECKS if words in one[0]]
        for done in outcomes:
            print(done.result()[0], flush=True)
    passed = sum(done.result()[1] for done in outcomes)
    print(f"{passed} passed, {len(outcomes) - passed} failed")
    sys.exit(passed < len(outcomes))


main()
