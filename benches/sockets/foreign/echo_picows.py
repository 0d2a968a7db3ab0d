"""Echo server on picows with uvloop, as its documentation shows. Usage: echo_picows.py PORT

It does not check UTF-8, and hands over frames, not messages: this program serves messages of one frame."""

import asyncio
import sys

import uvloop
from picows import WSListener, WSMsgType, ws_create_server


class Listener(WSListener):
    def on_ws_frame(self, transport, frame):
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        else:
            transport.send(frame.msg_type, frame.get_payload_as_memoryview())


async def main():
    # TCP_NODELAY is asyncio's default.
    server = await ws_create_server(lambda request: Listener(), "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


uvloop.run(main())
