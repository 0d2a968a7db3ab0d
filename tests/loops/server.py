"""An echo over TLS on Python's `websockets`: server.py ADDRESS CERTIFICATE KEY."""

import ssl
import sys

from websockets.sync.server import serve


def echo(ws):
    for message in ws:
        ws.send(message)


def main():
    address, certificate, key = sys.argv[1:]
    host, port = address.rsplit(":", 1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serve(echo, host, int(port), ssl=context, compression=None) as server:
        print(f"listening on wss://{host}:{server.socket.getsockname()[1]}", flush=True)
        server.serve_forever()


main()
