"""Runs every client against every server that it should understand and prints what came out; README.md says what
the programs do. The last line tells how many checks passed and failed; a check that was not reported has failed.

    matrix.py --examples DIR [--deflate]    our programs against the other libraries
    matrix.py --peers [--deflate]           the other libraries against each other

With --deflate all of it once for each way in which the other libraries are told to compress.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

HERE = Path(__file__).parent
START_SECONDS = 15
SCENARIO_SECONDS = 120
SIZES = (0, 1, 125, 126, 127, 65535, 65536, 1 << 20, 16 << 20)

# What each scenario checks, by the names that the clients report.
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
    "subprotocol": ["one of two", "none of two", "none offered"],
    "reject": ["403"],
}
ECHO = ("echo", "fragments", "ping", "close")
SCRIPTED = ("receive-fragments", "receive-ping", "receive-close", "subprotocol", "reject")

PEERS = {
    "node": {"server": ["node", HERE / "server.mjs"], "client": ["node", HERE / "client.mjs"]},
    "python": {"server": [sys.executable, HERE / "server.py"], "client": [sys.executable, HERE / "client.py"]},
}


# The options of each variant: first the other libraries', then ours.
PLAIN = {"without compression": ((), ())}
DEFLATE = {
    "permessage-deflate": (("--deflate",), ("--deflate",)),
    "permessage-deflate without context takeover": (("--deflate=no-context-takeover",), ("--deflate",)),
    "permessage-deflate with small windows": (("--deflate=small-windows",), ("--deflate",)),
}


def matrix(examples, peer_options, our_options):
    """The rows: a server's name and command, and for each client its name, command, options and scenarios."""
    peers = {name: [*peer["client"]] for name, peer in PEERS.items()}
    if examples is None:
        for name, peer in PEERS.items():
            clients = [(other, client, peer_options, ECHO + SCRIPTED) for other, client in peers.items()]
            yield name, [*peer["server"]], peer_options, clients
        return
    ours = ("echo_check", [examples / "echo_check"], our_options, ECHO + SCRIPTED)
    # How the transport is polled has nothing to do with compression: echo_poll does not offer it.
    polled = () if our_options else (("echo_poll", ECHO),)
    for name, scenarios in (("echo_server", ECHO), *polled, ("scripted_server", SCRIPTED)):
        clients = [(other, client, peer_options, scenarios) for other, client in peers.items()]
        yield name, [examples / name], our_options, clients
    for name, peer in PEERS.items():
        yield name, [*peer["server"]], peer_options, [ours]
    yield "scripted_server", [examples / "scripted_server"], our_options, [ours]


class Server:
    """A server process on a free port of the loopback, for the length of a `with` block."""

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


def run_scenario(client, url, scenario, options):
    """What the client reports: for each check None if it was good, or else why not; and what else it said."""
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


def wanted_checks(server, client, scenario):
    """The checks that must come back good."""
    closer = {"close": client, "receive-close": server}.get(scenario)
    # Python's `websockets` always sends a code with its Close frame.
    return [name for name in CHECKS[scenario] if not (closer == "python" and name == "none")]


def judge(wanted, scenario, results, rest):
    """Why the scenario failed, check by check."""
    for name in wanted:
        why = results.get(name, f"not reported ({rest})")
        if why is not None:
            yield f"{name}: {' '.join(why.split())}"
    for name in results.keys() - set(CHECKS[scenario]):
        yield f"{name}: reported, but no check of this scenario"


def run_variant(examples, peer_options, our_options):
    """Runs and prints one table; returns how many checks were good, and a line for each that was not."""
    passed, failures, columns = 0, [], ECHO + SCRIPTED
    print("  ".join([f"{'server':<16}{'client':<11}", *columns]))
    for server_name, server_command, server_options, clients in matrix(examples, peer_options, our_options):
        try:
            with Server(server_command, server_options) as server:
                for client_name, client, options, scenarios in clients:
                    cells = {}
                    for scenario in scenarios:
                        wanted = wanted_checks(server_name, client_name, scenario)
                        bad = list(judge(wanted, scenario, *run_scenario(client, server.url, scenario, options)))
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
