"""Starts each proxy of docs/guide.md with the configuration that the page shows, and checks it in front of our server. The
last line counts the passed and failed checks.

    checks.py EXAMPLES
"""

import contextlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "guide.md"
START_SECONDS = 15
# The proxies' timeout in these tests; the page shows 60 seconds.
SILENCE_SECONDS = 3
UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: example.com:8080\r\nOrigin: https://example.com\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)
PING = b"\x89\x80\0\0\0\0"
PONG = b"\x8a\0"
# What echo_check checks, and the number of its lines.
SCENARIOS = {"echo": 18, "fragments": 5, "ping": 3, "close": 5, "receive-close": 5, "subprotocol": 3, "reject": 1}
MODULES = "/usr/lib/apache2/modules"

# For each language of a block on the page: what stands around the block in the file, and the command.
PROXIES = {
    "nginx": (
        "worker_processes 1;\npid {dir}/nginx.pid;\nerror_log {dir}/error.log;\nevents {{ worker_connections 64; }}\n"
        "http {{\naccess_log off;\nclient_body_temp_path {dir}/body;\nproxy_temp_path {dir}/proxy;\n"
        "fastcgi_temp_path {dir}/fastcgi;\nuwsgi_temp_path {dir}/uwsgi;\nscgi_temp_path {dir}/scgi;\n{block}\n}}\n",
        ["nginx", "-p", "{dir}", "-c", "{file}", "-g", "daemon off; master_process off;"],
    ),
    "haproxy": ("{block}\n", ["haproxy", "-db", "-q", "-f", "{file}"]),
    "apache": (
        "ServerRoot {dir}\nServerName example.com\nPidFile {dir}/pid\nErrorLog {dir}/error.log\nMutex file:{dir}\n"
        + "".join(
            f"LoadModule {name}_module {MODULES}/mod_{name}.so\n"
            for name in ("mpm_event", "authz_core", "proxy", "proxy_http")
        )
        + "User nobody\nGroup nogroup\nListen 127.0.0.1:{port}\n{block}\n",
        ["apache2", "-f", "{file}", "-D", "FOREGROUND"],
    ),
    "caddy": (
        "{{\n    admin off\n    auto_https off\n}}\n{block}\n",
        ["caddy", "run", "--adapter", "caddyfile", "--config", "{file}"],
    ),
    "vcl": (
        "{block}\n",
        ["varnishd", "-F", "-j", "none", "-n", "{dir}/work", "-a", "127.0.0.1:{port}", "-f", "{file}"]
        + ["-s", "malloc,32m", "-p", f"pipe_timeout={SILENCE_SECONDS}"],
    ),
}
# Proxies that have no timeout for an upgraded connection.
WITHOUT_TIMEOUT = {"caddy"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(command, **options):
    """A process that runs during a `with` block."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def blocks():
    """The fenced blocks of the page, by language."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return {language: block for language, block in found if language in PROXIES}


@contextlib.contextmanager
def proxy(language, block, server, directory):
    """Runs a proxy with the block, changed only in ports and timeout. Gives its port."""
    port = free_port()
    for old, new in {
        "127.0.0.1:9001": f"127.0.0.1:{server}",
        '"9001"': f'"{server}"',
        "listen 8080": f"listen 127.0.0.1:{port}",
        "*:8080": f"127.0.0.1:{port}",
        "bind :8080": f"bind 127.0.0.1:{port}",
        ":8080 {": f"http://127.0.0.1:{port}, http://example.com:{port} {{\n    bind 127.0.0.1",
        "60s": f"{SILENCE_SECONDS}s",
        "Timeout 60": f"Timeout {SILENCE_SECONDS}",
    }.items():
        block = block.replace(old, new)
    around, command = PROXIES[language]
    names = {"dir": directory, "port": port, "file": f"{directory}/config"}
    Path(directory, "config").write_text(around.format(block=block, **names))
    Path(directory).chmod(0o755)
    with open(f"{directory}/log", "w") as log:
        with running([part.format(**names) for part in command], stdout=log, stderr=log) as process:
            until = time.monotonic() + START_SECONDS
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"{language} does not start: {Path(directory, 'log').read_text()[-2000:]}")
                time.sleep(0.05)
            yield port


def expect(seen, wanted):
    if seen != wanted:
        raise AssertionError(f"expected {wanted!r}, got {seen!r}")


def read_head(stream):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = stream.recv(1)
        if not byte:
            raise EOFError(f"the stream ended after {head!r}")
        head += byte
    return head.decode()


def upgraded(port):
    """A raw WebSocket through the proxy."""
    stream = socket.create_connection(("127.0.0.1", port), 10)
    stream.sendall(UPGRADE.format(path="/echo").encode())
    expect(read_head(stream).split("\r\n")[0].split(" ")[1], "101")
    return stream


class Checks:
    def __init__(self):
        self.passed = self.failed = 0

    @contextlib.contextmanager
    def check(self, name):
        try:
            yield
        except Exception as error:
            self.failed += 1
            print(f"FAILED {name}: {type(error).__name__}: {error}", flush=True)
        else:
            self.passed += 1
            print("ok", name, flush=True)


def scenarios(checks, name, examples, port, *options):
    for scenario, lines in SCENARIOS.items():
        with checks.check(f"{name}: {scenario}{' compressed' if options else ''}"):
            command = [examples / "echo_check", f"ws://127.0.0.1:{port}", scenario, *options]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
            bad = [line for line in done.stdout.splitlines() if not line.startswith("ok ")]
            expect((bad, done.stderr, len(done.stdout.splitlines())), ([], "", lines))


def plain_request(port):
    with socket.create_connection(("127.0.0.1", port), 10) as stream:
        stream.sendall(b"GET /health HTTP/1.1\r\nHost: example.com:8080\r\nConnection: close\r\n\r\n")
        head = read_head(stream)
        body = b"".join(iter(lambda: stream.recv(4096), b""))
        expect(head.split(" ")[1], "200")
        if b"GET /health" not in body:
            raise AssertionError(f"the body is {body!r}")


def silence(name, port):
    """A silent connection is cut after the timeout, and one with pings is not."""
    silent, pinging = upgraded(port), upgraded(port)
    begin = time.monotonic()
    with silent, pinging:
        silent.settimeout(0)
        cut = None
        while time.monotonic() < begin + 3 * SILENCE_SECONDS:
            pinging.sendall(PING)
            expect(pinging.recv(2), PONG)
            time.sleep(SILENCE_SECONDS / 3)
            with contextlib.suppress(BlockingIOError):
                silent.recv(100)  # the end, or the Close that our server sends
                cut = cut or time.monotonic() - begin
        if name in WITHOUT_TIMEOUT:
            expect(cut, None)
        elif cut is None or cut < SILENCE_SECONDS - 1:
            raise AssertionError(f"the silent connection was cut after {cut} s")


def forwarded(language, block, directory):
    """The head of an upgrade as a server behind the proxy gets it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        heads = []

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    stream, _ = listener.accept()
                    with stream, contextlib.suppress(EOFError):
                        heads.append(read_head(stream))
                        stream.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        server = listener.getsockname()[1]
        with proxy(language, block, server, directory) as port:
            with socket.create_connection(("127.0.0.1", port), 10) as stream:
                stream.sendall(UPGRADE.format(path="/chat?room=1").encode())
                expect(read_head(stream).split(" ")[1], "403")
        listener.shutdown(socket.SHUT_RDWR)
    line, *lines = next(head for head in heads if "websocket" in head.lower()).split("\r\n")[:-2]
    return line, {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


def head_is_kept(language, block, directory):
    line, headers = forwarded(language, block, directory)
    expect(line, "GET /chat?room=1 HTTP/1.1")
    host = headers.get("host")
    for name, value in {
        "upgrade": "websocket",
        "connection": "upgrade",
        "origin": "https://example.com",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-version": "13",
        "sec-websocket-extensions": "permessage-deflate",
        "host": "example.com:8080",
        "x-forwarded-for": "127.0.0.1",
    }.items():
        seen = headers.get(name, "")
        expect((name, seen.lower() if name in ("upgrade", "connection") else seen), (name, value))
    return host


def main():
    examples = Path(sys.argv[1])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    checks = Checks()
    shown = blocks()
    with checks.check("the page shows a configuration for each proxy"):
        expect(sorted(shown), sorted(PROXIES))
    command = [examples / "scripted_server", "127.0.0.1:0", "--deflate"]
    with running(command, stdout=subprocess.PIPE, text=True) as server:
        ours = int(server.stdout.readline().strip().rpartition(":")[2])
        for language, block in shown.items():
            with tempfile.TemporaryDirectory() as directory, checks.check(f"{language}: it starts"):
                with proxy(language, block, ours, directory) as port:
                    scenarios(checks, language, examples, port)
                    scenarios(checks, language, examples, port, "--deflate")
                    with checks.check(f"{language}: a plain request"):
                        plain_request(port)
                    with checks.check(f"{language}: pings keep a connection alive"):
                        silence(language, port)
            with tempfile.TemporaryDirectory() as directory, checks.check(f"{language}: the head is kept"):
                head_is_kept(language, block, directory)
    print(f"{checks.passed} passed, {checks.failed} failed")
    sys.exit(bool(checks.failed) or not checks.passed)


main()
