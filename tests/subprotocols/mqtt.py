"""Runs mqtt_bridge of docs/examples/subprotocols in front of Mosquitto, and tests it with `paho-mqtt`, with the npm package
`mqtt`, and with raw sockets. Prints a line for each check, then `N passed, N failed`.

    mqtt.py PROGRAM CLIENT.cjs
"""

import base64
import os
import queue
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import paho.mqtt.client as mqtt

PROGRAM, NODE_CLIENT = sys.argv[1:]
# The longest time for one step, in seconds.
PATIENCE = 15
CONNECT = b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03raw"
CONNACK = b"\x20\x02\x00\x00"
PINGREQ, PINGRESP = b"\xc0\x00", b"\xd0\x00"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Client:
    """A client of paho, over WebSocket or TCP."""

    def __init__(self, port, transport="websockets", version=mqtt.MQTTv311, name="", will=None):
        self.messages = queue.Queue()
        self.subscribed = queue.Queue()
        self.ended = queue.Queue()
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=name, transport=transport, protocol=version, reconnect_on_failure=False
        )
        self.client.on_message = lambda client, data, message: self.messages.put((message.topic, bytes(message.payload)))
        self.client.on_subscribe = lambda *_: self.subscribed.put(True)
        self.client.on_disconnect = lambda *_: self.ended.put(True)
        if will:
            self.client.will_set(*will)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def subscribe(self, topic):
        self.client.subscribe(topic, qos=2)
        self.subscribed.get(timeout=PATIENCE)
        return self

    def publish(self, topic, payload, qos=0):
        self.client.publish(topic, payload, qos).wait_for_publish(PATIENCE)

    def take(self, count):
        return [self.messages.get(timeout=PATIENCE) for _ in range(count)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.disconnect()
        self.client.loop_stop()


class Raw:
    """A WebSocket that sends frames as they are told. The masking key is zero."""

    def __init__(self, port, offered="mqtt"):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        lines = [
            "GET /mqtt HTTP/1.1",
            "Host: h",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)).decode(),
            *([f"Sec-WebSocket-Protocol: {offered}"] if offered else []),
        ]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self.more()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        line, *headers = head.decode().split("\r\n")
        self.status = int(line.split()[1])
        self.headers = {name.lower(): value for name, value in (header.split(": ", 1) for header in headers)}

    def more(self):
        data = self.socket.recv(65536)
        assert data, f"the bridge has ended the transport, after {self.buffer!r}"
        self.buffer += data

    def send(self, payload, opcode=2, final=True):
        assert len(payload) < 126
        self.socket.sendall(bytes([opcode | (0x80 if final else 0), 0x80 | len(payload)]) + bytes(4) + payload)

    def receive(self):
        """The first byte and the payload of the next frame, which is short."""
        while len(self.buffer) < 2 or len(self.buffer) < 2 + self.buffer[1]:
            self.more()
        end = 2 + self.buffer[1]
        frame, self.buffer = self.buffer[:end], self.buffer[end:]
        return frame[0], frame[2:]

    def receive_packets(self, expected):
        """Packets, which the bridge may cut anywhere."""
        received = b""
        while len(received) < len(expected):
            first, payload = self.receive()
            assert first == 0x82, hex(first)
            received += payload
        assert received == expected, received

    def close_code(self):
        first, payload = self.receive()
        assert first == 0x88, hex(first)
        return struct.unpack("!H", payload[:2])[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def both_ways(ports, topic, payloads, **options):
    """A client over WebSocket and one over TCP get what the other one publishes, once and in order."""
    with Client(ports.bridge, **options) as ours, Client(ports.broker, "tcp", **options) as theirs:
        ours.subscribe(f"{topic}/down")
        theirs.subscribe(f"{topic}/up")
        for qos in (0, 1, 2):
            for payload in payloads:
                theirs.publish(f"{topic}/down", payload, qos)
                ours.publish(f"{topic}/up", payload, qos)
            assert ours.take(len(payloads)) == [(f"{topic}/down", payload) for payload in payloads]
            assert theirs.take(len(payloads)) == [(f"{topic}/up", payload) for payload in payloads]
        assert ours.messages.empty() and theirs.messages.empty()


def paho_by_mqtt_3_1_1(ports):
    both_ways(ports, "v3", [b"", b"x", bytes(range(256)) * 4])


def paho_by_mqtt_5(ports):
    both_ways(ports, "v5", [b"", b"x", bytes(range(256)) * 4], version=mqtt.MQTTv5)


def packets_of_2_mib_pass(ports):
    both_ways(ports, "large", [os.urandom(1 << 21)])


def many_small_packets_pass(ports):
    both_ways(ports, "small", [b"%d" % number for number in range(1000)])


def npm_mqtt(ports):
    url = f"ws://127.0.0.1:{ports.bridge}/mqtt"
    result = subprocess.run(["node", NODE_CLIENT, url], capture_output=True, text=True, timeout=4 * PATIENCE)
    assert result.returncode == 0, result.stderr


def packets_may_span_frames_and_frames_may_have_many(ports):
    with Raw(ports.bridge) as raw:
        assert (raw.status, raw.headers["sec-websocket-protocol"]) == (101, "mqtt")
        for byte in CONNECT[:-1]:
            raw.send(bytes([byte]))
        # An empty message, then the last byte with three packets behind it.
        raw.send(b"")
        raw.send(CONNECT[-1:] + PINGREQ * 3)
        raw.receive_packets(CONNACK + PINGRESP * 3)
        # A message in fragments, with a ping between them.
        raw.send(PINGREQ[:1], 2, final=False)
        raw.send(b"?", 9)
        assert raw.receive() == (0x8A, b"?")
        raw.send(PINGREQ[1:], 0)
        raw.receive_packets(PINGRESP)


def text_is_closed_with_1003(ports):
    with Raw(ports.bridge) as raw:
        raw.send(CONNECT, opcode=1)
        assert raw.close_code() == 1003


def only_the_subprotocol_mqtt_is_accepted(ports):
    for offered, status in [(None, 400), ("mqttv3.1", 400), ("MQTT", 400), ("mqttv3.1, mqtt", 101)]:
        with Raw(ports.bridge, offered) as raw:
            assert raw.status == status, (offered, raw.status)
            assert raw.headers.get("sec-websocket-protocol") == ("mqtt" if status == 101 else None)


def a_broker_that_is_away_is_answered_with_502(ports):
    with bridge(free_port()) as port, Raw(port) as raw:
        assert raw.status == 502, raw.status


def a_broker_that_ends_closes_the_client(ports):
    with Raw(ports.bridge) as raw:
        raw.send(CONNECT)
        raw.receive_packets(CONNACK)
        # A second client with the same name: the broker ends the first one's transport.
        with Raw(ports.bridge) as second:
            second.send(CONNECT)
            second.receive_packets(CONNACK)
            assert raw.close_code() == 1000


def the_last_packets_of_a_client_that_closes_arrive(ports):
    with Client(ports.broker, "tcp").subscribe("last") as reader:
        for _ in range(20):
            with Raw(ports.bridge) as raw:
                raw.send(CONNECT)
                raw.receive_packets(CONNACK)
                # The client gets its own packets, too, and does not read them: they still arrive when it has closed.
                raw.send(b"\x82\x09\x00\x01\x00\x04last\x00")
                raw.receive_packets(b"\x90\x03\x00\x01\x00")
                for number in range(200):
                    raw.send(b"\x30\x07\x00\x04last" + bytes([number]))
                # DISCONNECT, and our Close.
                raw.send(b"\xe0\x00")
                raw.send(struct.pack("!H", 1000), 8)
                assert reader.take(200) == [("last", bytes([number])) for number in range(200)]


def the_broker_learns_that_a_client_has_vanished(ports):
    with Client(ports.broker, "tcp").subscribe("will") as reader:
        client = Client(ports.bridge, name="mortal", will=("will", b"gone", 1))
        client.publish("elsewhere", b"", 1)
        # Without a DISCONNECT, or a Close.
        client.client.socket()._socket.shutdown(socket.SHUT_RDWR)
        assert reader.take(1) == [("will", b"gone")]
        client.client.loop_stop()


class bridge:
    """A bridge to the broker at a port of this machine; its own port."""

    def __init__(self, broker):
        self.process = subprocess.Popen(
            [PROGRAM, "127.0.0.1:0", f"127.0.0.1:{broker}"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def __enter__(self):
        return int(self.process.stdout.readline().rsplit(":", 1)[1])

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Ports:
    """Of the broker and of the bridge to it."""


def wait_for(port):
    for _ in range(PATIENCE * 20):
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise AssertionError("the broker does not start")


def main():
    ports = Ports()
    ports.broker = free_port()
    passed = failed = 0
    with tempfile.TemporaryDirectory() as directory:
        settings = Path(directory) / "mosquitto.conf"
        settings.write_text(f"listener {ports.broker} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n")
        broker = subprocess.Popen(["mosquitto", "-c", settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(ports.broker)
            with bridge(ports.broker) as ports.bridge:
                for check in (
                    paho_by_mqtt_3_1_1,
                    paho_by_mqtt_5,
                    packets_of_2_mib_pass,
                    many_small_packets_pass,
                    npm_mqtt,
                    packets_may_span_frames_and_frames_may_have_many,
                    text_is_closed_with_1003,
                    only_the_subprotocol_mqtt_is_accepted,
                    a_broker_that_is_away_is_answered_with_502,
                    a_broker_that_ends_closes_the_client,
                    the_last_packets_of_a_client_that_closes_arrive,
                    the_broker_learns_that_a_client_has_vanished,
                ):
                    try:
                        check(ports)
                        passed += 1
                        print(f"ok      {check.__name__}", flush=True)
                    except Exception as error:
                        failed += 1
                        print(f"FAILED  {check.__name__}: {error!r}", flush=True)
        finally:
            broker.kill()
            broker.wait()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
