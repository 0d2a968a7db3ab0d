"""Runs every client with every compatible server and prints the results. README.md describes the programs. The last line
counts the passed and failed checks. A check that was not reported counts as failed.

    matrix.py --examples DIR [--deflate]    our programs against the other libraries
    matrix.py --peers [--deflate]           the other libraries against each other

With --deflate, everything runs once for each configuration of compression of the other libraries.
"""

import argparse
import contextlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).parent
START_SECONDS = 15
SCENARIO_SECONDS = 120
SIZES = (0, 1, 125, 126, 127, 65535, 65536, 1 << 20, 16 << 20)

# The names of the checks of each scenario, as the clients report them.
CHECKS = {
    "echo": [f"{kind} {size}" for size in SIZES for kind in ("text", "binary")],
    "fragments": [
        "text cut inside characters",
        "one-byte fragments",
        "empty fragments",
        "large fragments",
        "pings between fragments",
    ],
    "ping": ["0 bytes", "1 bytes", "125 bytes"],
    "close": ["1000", "1001", "3000", "4999", "none"],
    "receive-fragments": ["text", "binary", "empty"],
    "receive-ping": ["pongs"],
    "receive-close": ["1000", "1001", "3000", "4999", "none"],
    "subprotocol": ["one of two", "none of two", "none offered", "empty list"],
    "reject": ["403"],
}
# With compression, the bytes on the wire of these scenarios are checked.
WIRE = "wire"
ECHOED_BYTES = 2 * sum(SIZES)
ECHO = ("echo", "fragments", "ping", "close")
SCRIPTED = ("receive-fragments", "receive-ping", "receive-close", "subprotocol", "reject")

PEERS = {
    "node": {"server": ["node", HERE / "server.mjs"], "client": ["node", HERE / "client.mjs"]},
    "python": {"server": [sys.executable, HERE / "server.py"], "client": [sys.executable, HERE / "client.py"]},
}


# The options of each variant: those of the other libraries, then ours.
PLAIN = {"without compression": ((), ())}
DEFLATE = {
    "permessage-deflate": (("--deflate",), ("--deflate",)),
    "permessage-deflate without context takeover": (("--deflate=no-context-takeover",), ("--deflate",)),
}
DEFLATE |= {
    f"permessage-deflate with windows of {bits} bits": ((f"--deflate={bits}",), ("--deflate",)) for bits in range(9, 15)
}


def window_bits(options):
    """Returns the window size in the options, if any."""
    bits = options[0].removeprefix("--deflate=") if options else ""
    return int(bits) if bits.isdigit() else None


def matrix(examples, peer_options, our_options):
    """Returns the rows: a server's name and command; and for each client its name, command, options and scenarios."""
    peers = {name: [*peer["client"]] for name, peer in PEERS.items()}
    if examples is None:
        for name, peer in PEERS.items():
            clients = [(other, client, peer_options, ECHO + SCRIPTED) for other, client in peers.items()]
            yield name, [*peer["server"]], peer_options, clients
        return
    ours = ("echo_check", [examples / "echo_check"], our_options, ECHO + SCRIPTED)
    # echo_poll does not support compression, which does not depend on how the transport is polled.
    polled = () if our_options else (("echo_poll", ECHO),)
    if window_bits(peer_options):
        # A window size only matters to messages, and only the other library asks for one.
        rows = (("echo_server", ("echo", "fragments")),)
        ours = (*ours[:3], ("echo", "fragments"))
    else:
        rows = (("echo_server", ECHO), *polled, ("scripted_server", SCRIPTED))
    for name, scenarios in rows:
        clients = [(other, client, peer_options, scenarios) for other, client in peers.items()]
        yield name, [examples / name], our_options, clients
    for name, peer in PEERS.items():
        yield name, [*peer["server"]], peer_options, [ours]
    if not window_bits(peer_options):
        yield "scripted_server", [examples / "scripted_server"], our_options, [ours]


class Server:
    """A server process on a free port of the loopback interface, during a `with` block."""

    def __init__(self, command, options):
        self.command = [*command, "127.0.0.1:0", *options]

    def __enter__(self):
        self.log = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        late = threading.Timer(START_SECONDS, self.process.kill)
        late.start()
        line = self.process.stdout.readline()
        late.cancel()
        self.url = line.removeprefix("listening on ").strip()
        if not self.url.startswith("ws://"):
            self.__exit__()
            raise RuntimeError(f"{self.command[0]} does not listen: {line!r} {self.said()}")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def died(self):
        return self.process.poll() is not None

    def said(self):
        self.log.seek(0)
        return self.log.read()[-2000:]


class Tap:
    """A proxy in front of the server that records all bytes, during a `with` block."""

    def __init__(self, url):
        self.server = (urlsplit(url).hostname, urlsplit(url).port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self.listener.getsockname()[1]}"
        self.sent, self.received = bytearray(), bytearray()

    def __enter__(self):
        threading.Thread(target=self.join, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()

    def join(self):
        with contextlib.suppress(OSError):
            client, _ = self.listener.accept()
            server = socket.create_connection(self.server)
            threading.Thread(target=self.pump, args=(client, server, self.sent), daemon=True).start()
            self.pump(server, client, self.received)

    @staticmethod
    def pump(source, sink, copy):
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                copy += piece
                sink.sendall(piece)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


def frames(stream):
    """Returns the first byte and the payload length of each frame after the opening handshake."""
    at = stream.index(b"\r\n\r\n") + 4
    while at + 2 <= len(stream):
        first, second = stream[at], stream[at + 1]
        width = {126: 2, 127: 8}.get(second & 0x7F, 0)
        length = int.from_bytes(stream[at + 2 : at + 2 + width], "big") if width else second & 0x7F
        at += 2 + width + (4 if second & 0x80 else 0) + length
        yield first, length


def judge_wire(tap, options):
    """Returns why the compression on the wire is wrong (RFC 7692 6, 7.1.2), or None if it is right."""
    bits = window_bits(options)
    answer = bytes(tap.received).partition(b"\r\n\r\n")[0].decode("latin-1").lower()
    if bits:
        for side in ("server", "client"):
            if not re.search(rf"{side}_max_window_bits=\"?{bits}\b", answer):
                return f"{side}_max_window_bits={bits} was not agreed on"
    for direction, stream in (("sent", tap.sent), ("received", tap.received)):
        begun = [(first, length) for first, length in frames(bytes(stream)) if first & 0x0F in (1, 2)]
        marked = sum(first & 0x40 != 0 for first, _ in begun)
        carried = sum(length for _, length in begun)
        # Short messages may be sent uncompressed, and a window of 9 bits is too small to compress the binary ones.
        if marked < len(begun) / 3 or carried > ECHOED_BYTES * 0.6:
            return f"{direction}: {marked} of {len(begun)} messages have RSV1, {carried} bytes for {ECHOED_BYTES}"
    return None


def run_scenario(client, url, scenario, options):
    """Runs a client. Returns for each check None or the reason of its failure, and the rest of the client's output."""
    try:
        done = subprocess.run(
            [*client, url, scenario, *options],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SCENARIO_SECONDS,
        )
        output, rest = done.stdout, f"exit status {done.returncode} {done.stderr[-1000:]}"
    except subprocess.TimeoutExpired as late:
        output, rest = (late.stdout or b"").decode(errors="replace"), f"not done after {SCENARIO_SECONDS} s"
    results = {}
    for line in output.splitlines():
        word, _, name = line.partition(" ")
        if word == "ok":
            results.setdefault(name, None)
        elif word == "FAILED":
            name, _, why = name.partition(": ")
            results[name] = why
    return results, rest


def run_tapped(client, url, scenario, options, peer_options):
    """Does what `run_scenario` does, and checks the bytes on the wire of scenarios with compression."""
    if scenario != "echo" or not options:
        return run_scenario(client, url, scenario, options)
    with Tap(url) as tap:
        results, rest = run_scenario(client, tap.url, scenario, options)
        results[WIRE] = judge_wire(tap, peer_options)
    return results, rest


def wanted_checks(server, client, scenario):
    """Returns the checks that must pass."""
    closer = {"close": client, "receive-close": server}.get(scenario)
    # Only Python's `websockets` sends an empty list of subprotocols, which the other servers refuse.
    sends_empty_list = client == "python" and server not in PEERS
    return [
        name
        for name in CHECKS[scenario]
        # Python's `websockets` always sends a code with its Close frame.
        if not (closer == "python" and name == "none") and (sends_empty_list or name != "empty list")
    ]


def judge(wanted, scenario, results, rest):
    """Returns the reasons of a scenario's failure, check by check."""
    for name in wanted:
        why = results.get(name, f"not reported ({rest})")
        if why is not None:
            yield f"{name}: {' '.join(why.split())}"
    for name in results.keys() - set(wanted) - set(CHECKS[scenario]):
        yield f"{name}: reported, but no check of this scenario"


def run_variant(examples, peer_options, our_options):
    """Runs and prints one table. Returns the number of passed checks, and a line for each failed check."""
    passed, failures, columns = 0, [], ECHO + SCRIPTED
    print("  ".join([f"{'server':<16}{'client':<11}", *columns]))
    for server_name, server_command, server_options, clients in matrix(examples, peer_options, our_options):
        try:
            with Server(server_command, server_options) as server:
                for client_name, client, options, scenarios in clients:
                    cells = {}
                    for scenario in scenarios:
                        wanted = wanted_checks(server_name, client_name, scenario)
                        results, rest = run_tapped(client, server.url, scenario, options, peer_options)
                        if scenario == "echo" and options:
                            wanted = [*wanted, WIRE]
                        bad = list(judge(wanted, scenario, results, rest))
                        failures += [f"{server_name}, {client_name}, {scenario}: {why}" for why in bad]
                        good = max(0, len(wanted) - len(bad))
                        passed += good
                        cells[scenario] = f"{good}/{len(wanted)}"
                    row = [f"{cells.get(column, '-'):>{len(column)}}" for column in columns]
                    print("  ".join([f"{server_name:<16}{client_name:<11}", *row]), flush=True)
                if server.died():
                    failures.append(f"{server_name}: the server died: {server.said()}")
        except (RuntimeError, OSError) as error:
            failures.append(f"{server_name}: {error}")
    return passed, failures


def main():
    parser = argparse.ArgumentParser()
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--examples", type=Path)
    who.add_argument("--peers", action="store_true")
    parser.add_argument("--deflate", action="store_true")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    passed, failed = 0, 0
    for name, (peer_options, our_options) in (DEFLATE if arguments.deflate else PLAIN).items():
        print(name)
        good, failures = run_variant(arguments.examples, peer_options, our_options)
        for failure in failures:
            print("FAILED", failure)
        print(flush=True)
        passed, failed = passed + good, failed + len(failures)
    print(f"{passed} passed, {failed} failed")
    sys.exit(bool(failed) or not passed)


main()
