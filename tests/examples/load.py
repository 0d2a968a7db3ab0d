"""Measures the round trips of 198 connections to the playground: alone, and beside one client that floods and one that
stalls. Prints the figures; the exit status is 1 if the 99th percentile is more than twice as large beside them.

    load.py PROGRAM [SECONDS]       PROGRAM is the example `playground`, built with --release
"""

import asyncio
import os
import re
import socket
import statistics
import subprocess
import sys
import time

CONNECTIONS = 198
PAUSE = 0.05
# Client frames with a masking key of 0: masking changes nothing.
TEXT = b"\x81\x85\0\0\0\0Hello"
ECHO = b"\x81\x05Hello"
BINARY = b"\x82\xfe\x10\x00\0\0\0\0" + bytes(4096)


def request(address):
    return (
        f"GET /ws?deflate=0 HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()


async def measure(address, seconds):
    """Returns the round trips of all connections in ms. Each begins at another time."""
    end = time.monotonic() + seconds
    trips = []

    async def talk(number):
        host, port = address.rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request(address))
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(PAUSE * number / CONNECTIONS)
        while time.monotonic() < end:
            begin = time.monotonic()
            writer.write(TEXT)
            if await reader.readexactly(len(ECHO)) != ECHO:
                raise AssertionError("not an echo")
            trips.append((time.monotonic() - begin) * 1000)
            await asyncio.sleep(PAUSE)
        writer.close()

    await asyncio.gather(*(talk(number) for number in range(CONNECTIONS)))
    return trips


def connect(address):
    host, port = address.rsplit(":", 1)
    stream = socket.create_connection((host, int(port)))
    stream.sendall(request(address))
    return stream


def flood(address):
    """Sends as fast as the server takes it, and reads the echoes. It has the lowest priority: it shall use up the
    server's time, and not that of the program that measures."""
    os.nice(19)
    stream = connect(address)
    stream.setblocking(False)
    rest = b""
    while True:
        try:
            rest = rest or BINARY * 16
            rest = rest[stream.send(rest) :]
        except BlockingIOError:
            time.sleep(0)
        try:
            stream.recv(1 << 20)
        except BlockingIOError:
            pass


def stall(address):
    """Sends, and never reads."""
    stream = connect(address)
    while True:
        stream.sendall(BINARY)


def main():
    if len(sys.argv) == 4 and sys.argv[1] in ("flood", "stall"):
        return {"flood": flood, "stall": stall}[sys.argv[1]](sys.argv[2])
    program, seconds = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 10
    server = subprocess.Popen([program, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    bad = []
    try:
        address = re.search(r"http://([^/]+)/", server.stdout.readline()).group(1)
        results = []
        for name in ("alone", "beside a flood and a stall"):
            if bad := [] if name == "alone" else [
                subprocess.Popen([sys.executable, __file__, kind, address, ""]) for kind in ("flood", "stall")
            ]:
                time.sleep(1)
            trips = asyncio.run(measure(address, seconds))
            percentiles = statistics.quantiles(trips, n=100)
            results.append(percentiles[98])
            print(f"{name}: {len(trips)} round trips, median {percentiles[49]:.2f} ms, p99 {percentiles[98]:.2f} ms")
    finally:
        for process in (*bad, server):
            process.kill()
    print(f"p99 is {results[1] / results[0]:.2f} times as large")
    return results[1] > 2 * results[0]


sys.exit(main())
