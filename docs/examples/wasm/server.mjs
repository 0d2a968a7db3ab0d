// Echoes text and binary messages of many connections, with permessage-deflate. The protocol is wasm (src/lib.rs). The
// sockets, the clock and the timers are Node's. In this directory:
//
//   cargo build --release --target wasm32-unknown-unknown
//   node server.mjs target/wasm32-unknown-unknown/release/websocket_proto_wasm.wasm [ADDR]
//
// The default of ADDR is 127.0.0.1:9001.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';

const [file, address = '127.0.0.1:9001'] = process.argv.slice(2);
const { instance } = await WebAssembly.instantiate(readFileSync(file));
const proto = instance.exports;
const at = proto.input();
const limit = proto.input_bytes();

// One connection: its socket, its number in wasm, its timer.
class Peer {
  constructor(socket) {
    this.socket = socket;
    this.number = proto.open();
    socket.setNoDelay(true);
    socket.on('data', (bytes) => this.receive(bytes));
    socket.on('end', () => this.turn(() => proto.receive_eof(this.number)));
    socket.on('error', () => this.turn(() => proto.abort(this.number)));
    socket.on('drain', () => {
      socket.resume();
      this.turn(() => {}); // writes the rest
    });
    this.turn(() => {}); // starts the handshake timeout
  }

  receive(bytes) {
    for (let start = 0; start < bytes.length; start += limit) {
      const piece = bytes.subarray(start, start + limit);
      this.turn(() => {
        new Uint8Array(proto.memory.buffer, at, piece.length).set(piece);
        proto.receive(this.number, piece.length);
      });
    }
  }

  // The loop of the guide: a call that may cause bytes; then write, shut down, end, or wait.
  turn(cause) {
    if (this.number === undefined) return; // it has ended
    cause();
    clearTimeout(this.timer);
    let wake;
    do {
      this.write();
      if (proto.wants_shutdown(this.number)) {
        this.socket.end();
        proto.write_closed(this.number);
      }
      wake = proto.tick(this.number, performance.now());
    } while (proto.outgoing_bytes(this.number) > 0 && !this.socket.writableNeedDrain);
    if (proto.is_finished(this.number)) {
      proto.drop_connection(this.number);
      this.number = undefined;
      this.socket.destroySoon(); // what Node has not yet written is written first, unless the peer does not read
      this.socket.setTimeout(5000, () => this.socket.destroy());
    } else if (wake >= 0) {
      this.timer = setTimeout(() => this.turn(() => {}), wake);
    }
  }

  write() {
    // What Node has buffered is written for the machine, so Node gets the next piece when its buffer is empty. So the
    // machine knows that the peer is slow, and when it takes something.
    for (let n; !this.socket.writableNeedDrain && (n = proto.outgoing_bytes(this.number)) > 0; ) {
      n = Math.min(n, 64 * 1024);
      // Before the buffer is taken: this call may grow the memory.
      const from = proto.outgoing(this.number);
      // A copy: Node may write it later, and wasm uses its memory again after `advance`.
      const bytes = Buffer.from(new Uint8Array(proto.memory.buffer, from, n));
      proto.advance(this.number, n);
      // Backpressure: a peer that does not read is not read until Node's buffer is empty.
      if (!this.socket.write(bytes)) this.socket.pause();
    }
  }
}

const colon = address.lastIndexOf(':');
const host = address.slice(0, colon); // of IPv6 in brackets, which `listen` does not take
// Each direction ends by itself.
const server = createServer({ allowHalfOpen: true }, (socket) => new Peer(socket));
server.listen(Number(address.slice(colon + 1)), host.replace(/^\[(.*)\]$/, '$1'), () => {
  console.log(`listening on ws://${host}:${server.address().port}`);
});
