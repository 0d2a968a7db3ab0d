"""Runs three processes of docs/examples/redis_chat and a Redis. Prints a line for each check, then `N passed, N failed`.

    checks.py PROGRAM

300 clients are in three rooms, each room in all three processes. Each text has a number, so that a text that came twice, or
not in its sender's order, is noticed. What is said in one check must reach every client that is connected then.
"""

import asyncio
import random
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

PROGRAM = sys.argv[1]
PROCESSES = 3
CLIENTS = 300
ROOMS = ["/red", "/green", "/blue"]
# What each speaker says in a check; each room has one speaker in each process.
TEXTS = 20
# The longest time for one step, in seconds.
PATIENCE = 20


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Redis:
    def __init__(self):
        self.port = free_port()
        self.directory = tempfile.TemporaryDirectory()
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self.directory.name],
            stdout=subprocess.DEVNULL,
        )

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()


class Server:
    """A process of the chat. It listens on the same port when it is started again."""

    def __init__(self, redis):
        self.redis = redis
        self.port = 0
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            [PROGRAM, f"127.0.0.1:{self.port}", f"redis://127.0.0.1:{self.redis.port}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()


class Client:
    def __init__(self, number):
        self.number = number
        self.room = ROOMS[number % len(ROOMS)]
        # All texts that came, in their order.
        self.texts = []
        self.notices = 0
        # Codes of the connections that have ended.
        self.ended = []
        self.connection = self.reader = None

    async def connect(self, server):
        self.server = server
        self.connection = await connect(
            f"ws://127.0.0.1:{server.port}{self.room}", proxy=None, compression=None, ping_interval=None
        )
        self.reader = asyncio.create_task(self.read(self.connection))

    async def read(self, connection):
        try:
            while True:
                text = await connection.recv()
                if "not sent" in text:
                    self.notices += 1
                else:
                    self.texts.append(text)
        except ConnectionClosed as closed:
            self.ended.append(closed.rcvd.code if closed.rcvd else 1006)

    def is_open(self):
        return self.reader is not None and not self.reader.done()


class Chat:
    def __init__(self):
        self.redis = Redis()
        self.servers = [Server(self.redis) for _ in range(PROCESSES)]
        self.clients = [Client(number) for number in range(CLIENTS)]
        self.said = 0

    def on(self, server):
        return [client for client in self.clients if client.is_open() and client.server is server]

    def new_text(self, client, kind):
        self.said += 1
        return f"{kind} {self.said} of {client.number} in {client.room}"

    async def until(self, condition, what):
        try:
            async with asyncio.timeout(PATIENCE):
                while not condition():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"not in time: {what}") from None

    def speakers(self):
        """A client of each room in each process."""
        found = {}
        for client in self.clients:
            if client.is_open():
                found.setdefault((client.server, client.room), client)
        return list(found.values())

    def missing(self, texts):
        """How many texts have not come to how many clients that are connected, of those that were said in their rooms."""
        lacks = [len(texts[client.room] - set(client.texts)) for client in self.clients if client.is_open()]
        return sum(lacks), sum(lack > 0 for lack in lacks)

    async def ready(self):
        """Waits until a text of each speaker has reached all: the processes have connected to Redis, and subscribed."""
        waiting = self.speakers()
        async with asyncio.timeout(PATIENCE):
            while waiting:
                probes = {client: self.new_text(client, "probe") for client in waiting}
                for client, probe in probes.items():
                    await client.connection.send(probe)
                await asyncio.sleep(0.3)
                waiting = [c for c, probe in probes.items() if self.missing({r: {probe} if r == c.room else set() for r in ROOMS})[0]]

    async def say(self, kind, meanwhile=None):
        """Each speaker says its texts; `meanwhile` happens in the middle. All that are connected then get all of them, except
        texts of a speaker whose process has ended: the process may not have received them."""
        texts = {room: set() for room in ROOMS}
        own = {}
        for turn in range(TEXTS):
            if turn == TEXTS // 2 and meanwhile:
                await meanwhile()
            for client in self.speakers():
                text = self.new_text(client, kind)
                texts[client.room].add(text)
                own.setdefault(client, set()).add(text)
                await client.connection.send(text)
            await asyncio.sleep(0.01)
        for client, said in own.items():
            if not client.is_open():
                texts[client.room] -= said
        await self.until(lambda: self.missing(texts) == (0, 0), f"{kind}: texts and clients {self.missing(texts)}")
        for client in self.clients:
            self.check_order(client)

    def check_order(self, client):
        twice = [text for text, count in Counter(client.texts).items() if count > 1]
        assert not twice, f"came twice to {client.number}: {twice[:3]} and {len(twice)} in all"
        last = {}
        for text in client.texts:
            _, number, _, sender, _, room = text.split()
            assert room == client.room, f"{text} came to {client.room}"
            assert last.get(sender, 0) < int(number), f"{text} came to {client.number} after {last[sender]}"
            last[sender] = int(number)

    # --- the checks, in their order

    async def every_client_gets_what_is_said_in_its_room_in_any_process(self):
        for server in self.servers:
            server.start()
        for client in self.clients:
            await client.connect(self.servers[client.number * PROCESSES // CLIENTS])
        await self.ready()
        await self.say("first")
        assert all(len(self.on(server)) == CLIENTS // PROCESSES for server in self.servers)

    async def a_killed_process_takes_nothing_from_the_clients_of_the_others(self):
        victim = self.servers[1]
        lost = self.on(victim)

        async def kill():
            victim.stop()
            await self.until(lambda: not any(client.is_open() for client in lost), "the clients notice")

        await self.say("killed", kill)
        assert all(client.ended == [1006] for client in lost), [client.ended for client in lost]
        assert sum(client.is_open() for client in self.clients) == CLIENTS - len(lost)

    async def clients_return_to_any_process_and_a_new_process_gets_its_rooms_back(self):
        self.servers[1].start()
        for client in self.clients:
            if not client.is_open():
                # With jitter, as the clients of a page should.
                await asyncio.sleep(random.random() / 100)
                await client.connect(random.choice(self.servers))
        assert {client.room for client in self.on(self.servers[1])} == set(ROOMS)
        await self.ready()
        await self.say("returned")

    async def a_redis_that_does_not_answer_loses_no_connection(self):
        # A process gives Redis 2 seconds for each answer, and looks every second. After the first pause some have given up a
        # text, but not Redis; after the second, all have tried to connect again.
        for pause in (2.3, 5):
            before = [client.notices for client in self.clients]
            self.redis.process.send_signal(signal.SIGSTOP)
            speakers = self.speakers()
            try:
                for client in speakers:
                    await client.connection.send(self.new_text(client, "stopped"))
                await asyncio.sleep(pause)
            finally:
                self.redis.process.send_signal(signal.SIGCONT)
            told = lambda: all(client.notices > before[client.number] for client in speakers)
            await self.until(told, "each speaker is told")
            await self.ready()
        self.all_are_connected()
        await self.say("answering")

    async def a_new_redis_gets_all_rooms_and_loses_no_connection(self):
        self.redis.stop()
        before = [client.notices for client in self.clients]
        speakers = self.speakers()
        for client in speakers:
            await client.connection.send(self.new_text(client, "lost"))
        told = lambda: all(client.notices > before[client.number] for client in speakers)
        await self.until(told, "each speaker is told")
        self.redis.start()
        await self.ready()
        self.all_are_connected()
        await self.say("anew")

    async def a_process_that_ends_tells_its_clients_to_come_back(self):
        server = self.servers[0]
        clients = self.on(server)
        before = [list(client.ended) for client in clients]

        async def end():
            server.process.send_signal(signal.SIGTERM)
            await self.until(lambda: not any(client.is_open() for client in clients), "all are closed")
            await asyncio.to_thread(server.process.wait, PATIENCE)

        await self.say("ending", end)
        assert server.process.returncode == 0, server.process.returncode
        assert all(client.ended == codes + [1012] for client, codes in zip(clients, before))
        for client in clients:
            await client.connect(random.choice(self.servers[1:]))
        await self.ready()
        await self.say("last")

    def all_are_connected(self):
        lost = [client.number for client in self.clients if not client.is_open()]
        assert not lost, f"clients without a connection: {lost}"


async def main():
    chat = Chat()
    passed = failed = 0
    try:
        chat.redis.start()
        for check in (
            chat.every_client_gets_what_is_said_in_its_room_in_any_process,
            chat.a_killed_process_takes_nothing_from_the_clients_of_the_others,
            chat.clients_return_to_any_process_and_a_new_process_gets_its_rooms_back,
            chat.a_redis_that_does_not_answer_loses_no_connection,
            chat.a_new_redis_gets_all_rooms_and_loses_no_connection,
            chat.a_process_that_ends_tells_its_clients_to_come_back,
        ):
            try:
                await check()
                passed += 1
                print(f"ok      {check.__name__}", flush=True)
            except Exception as error:
                failed += 1
                print(f"FAILED  {check.__name__}: {error!r}", flush=True)
    finally:
        for process in (*chat.servers, chat.redis):
            process.stop()
    received = sum(len(client.texts) for client in chat.clients)
    print(f"{CLIENTS} clients received {received} texts")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
