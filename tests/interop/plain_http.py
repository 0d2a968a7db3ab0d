"""Tests our server with programs that send or forward plain HTTP: HAProxy, nginx and curl. README.md lists the checks. The
last line counts the passed and failed checks.

    plain_http.py --examples DIR
"""

import argparse
import contextlib
import csv
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SECONDS = 15
HAPROXY = """
global
    stats socket {dir}/stats mode 600 level user
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    timeout tunnel 30s
backend ours
    option httpchk
    server one 127.0.0.1:{server} check inter 200ms
frontend front
    bind 127.0.0.1:{front}
    default_backend ours
"""
# `proxy_pass` alone uses HTTP/1.0. `/old/` adds the headers for an upgrade, but keeps HTTP/1.0.
NGINX = """
worker_processes 1;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    server {{
        listen 127.0.0.1:{front};
        location /plain {{ proxy_pass http://127.0.0.1:{server}; }}
        location /old/ {{
            proxy_pass http://127.0.0.1:{server}/;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }}
        location / {{
            proxy_pass http://127.0.0.1:{server};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
        }}
    }}
}}
"""
UPGRADE = [
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
]


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
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(port):
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"nobody listens on port {port}")


def curl(port, path, *options):
    """Sends a request with curl. Returns status and body."""
    url = f"http://127.0.0.1:{port}{path}"
    command = ["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", str(SECONDS)]
    command += ["--write-out", "\n%{http_code}", *options, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS + 5)
    body, _, status = done.stdout.rpartition("\n")
    return int(status or 0), body + done.stderr


def expect(seen, wanted):
    if seen != wanted:
        raise AssertionError(f"expected {wanted!r}, got {seen!r}")


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


def client_works(examples, port, prefix=""):
    """Checks that our client gets its echoes through this port."""
    done = subprocess.run(
        [examples / "echo_check", f"ws://127.0.0.1:{port}{prefix}", "ping"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    expect(done.stdout.split("\n")[:3], ["ok 0 bytes", "ok 1 bytes", "ok 125 bytes"])


def haproxy(checks, examples, server, directory):
    front = free_port()
    config = Path(directory, "haproxy.cfg")
    config.write_text(HAPROXY.format(dir=directory, server=server, front=front))
    with running(["haproxy", "-db", "-q", "-f", config]):
        wait_for(front)
        with checks.check("HAProxy's default check: OPTIONS by HTTP/1.0 is answered by 200"):
            until = time.monotonic() + SECONDS
            while True:
                with socket.socket(socket.AF_UNIX) as stats:
                    stats.connect(f"{directory}/stats")
                    stats.sendall(b"show stat\n")
                    text = b"".join(iter(lambda: stats.recv(65536), b"")).decode()
                rows = csv.DictReader(text.removeprefix("# ").splitlines())
                row = next(row for row in rows if row["svname"] == "one")
                seen = row["status"], row["check_status"], row["check_code"]
                if seen == ("UP", "L7OK", "200") or time.monotonic() > until:
                    break
                time.sleep(0.1)
            expect(seen, ("UP", "L7OK", "200"))
        with checks.check("a WebSocket through HAProxy"):
            client_works(examples, front)


def nginx(checks, examples, server, directory):
    front = free_port()
    config = Path(directory, "nginx.conf")
    config.write_text(NGINX.format(dir=directory, server=server, front=front))
    command = ["nginx", "-p", directory, "-c", config, "-g", "daemon off; master_process off;"]
    with running(command):
        wait_for(front)
        with checks.check("nginx's default proxy_pass: GET by HTTP/1.0 is answered"):
            expect(curl(front, "/plain"), (200, "GET /plain HTTP/1.0\n"))
        with checks.check("nginx's default proxy_pass: POST with a body"):
            expect(curl(front, "/plain", "--data", "abc"), (200, "POST /plain HTTP/1.0\n"))
        with checks.check("an upgrade by HTTP/1.0 through nginx is answered by 505"):
            headers = [part for header in UPGRADE for part in ("--header", header)]
            expect(curl(front, "/old/echo", *headers)[0], 505)
        with checks.check("a WebSocket through nginx, with proxy_http_version 1.1"):
            client_works(examples, front)


def by_curl(checks, server):
    with checks.check("curl -0"):
        expect(curl(server, "/plain?x", "-0"), (200, "GET /plain?x HTTP/1.0\n"))
    with checks.check("curl -0 --head"):
        status, head = curl(server, "/plain", "-0", "--head")
        expect((status, "connection: close" in head.lower()), (200, True))
    with checks.check("curl -0 --data"):
        expect(curl(server, "/plain", "-0", "--data", "abc"), (200, "POST /plain HTTP/1.0\n"))
    with checks.check("curl by HTTP/1.1"):
        expect(curl(server, "/plain"), (200, "GET /plain HTTP/1.1\n"))
    with checks.check("curl -0 with an upgrade is answered by 505"):
        headers = [part for header in UPGRADE for part in ("--header", header)]
        expect(curl(server, "/echo", "-0", *headers)[0], 505)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=Path, required=True)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    checks = Checks()
    server = [arguments.examples / "scripted_server", "127.0.0.1:0"]
    with tempfile.TemporaryDirectory() as directory, running(server, stdout=subprocess.PIPE, text=True) as ours:
        port = int(ours.stdout.readline().strip().rpartition(":")[2])
        by_curl(checks, port)
        haproxy(checks, arguments.examples, port, directory)
        nginx(checks, arguments.examples, port, directory)
    print(f"{checks.passed} passed, {checks.failed} failed")
    sys.exit(bool(checks.failed) or not checks.passed)


main()
