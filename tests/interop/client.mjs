// A WebSocket client on Node's `ws` that runs checks. README.md lists its scenarios.
import { createRequire } from 'node:module';

const WebSocket = createRequire(`${process.env.PEERS}/`)('ws');
const [url, scenario] = process.argv.slice(2);
const DEFLATE = {
  '--deflate': {},
  '--deflate=no-context-takeover': { serverNoContextTakeover: true, clientNoContextTakeover: true },
};
for (let bits = 9; bits < 15; bits++) {
  DEFLATE[`--deflate=${bits}`] = { serverMaxWindowBits: bits, clientMaxWindowBits: bits };
}
const perMessageDeflate = DEFLATE[process.argv[4]] ?? false;
const SECONDS = 30;
const SIZES = [0, 1, 125, 126, 127, 65535, 65536, 1 << 20, 16 << 20];
const REASON = 'auf Wiedersehen, até logo, さようなら';

// Exactly `size` bytes of UTF-8, with characters of every length.
const textOf = (size) => Buffer.from('z'.repeat(size % 10) + 'aé€😀'.repeat(Math.floor(size / 10)));
const binaryOf = (size) => Buffer.alloc(size, Buffer.from([...Array(251).keys()]));

function expect(seen, wanted, what) {
  if (seen !== wanted) throw new Error(`${what}: expected ${wanted}, got ${seen}`);
}

// One connection, whose events are taken in the order in which they came.
class Peer {
  static async open(path, subprotocols = []) {
    const peer = new Peer(new WebSocket(url + path, subprotocols, { perMessageDeflate }));
    await peer.next('open');
    expect(peer.ws.extensions.startsWith('permessage-deflate'), perMessageDeflate !== false, 'compression');
    return peer;
  }

  constructor(ws) {
    this.ws = ws;
    this.events = [];
    this.arrived = () => {};
    const keep = (event) => {
      this.events.push(event);
      this.arrived();
    };
    ws.on('open', () => keep({ type: 'open' }));
    ws.on('message', (payload, binary) => keep({ type: 'message', payload, binary }));
    ws.on('pong', (payload) => keep({ type: 'pong', payload }));
    ws.on('close', (code, reason) => keep({ type: 'close', code, reason: reason.toString() }));
    ws.on('error', (error) => keep({ type: 'error', error }));
    ws.on('unexpected-response', (_, response) => keep({ type: 'refused', status: response.statusCode }));
  }

  // The next event of this type; those of other types that came before it are kept for later.
  async next(type) {
    const deadline = Date.now() + SECONDS * 1000;
    for (;;) {
      const i = this.events.findIndex((event) => event.type === type);
      if (i >= 0) return this.events.splice(i, 1)[0];
      const wrong = this.events.find((event) => event.type === 'error' || event.type === 'close');
      if (wrong) throw wrong.error ?? new Error(`closed with ${wrong.code} '${wrong.reason}'`);
      await new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`no ${type} in time`)), deadline - Date.now());
        this.arrived = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  send(payload, binary, fin = true) {
    this.ws.send(payload, { binary, fin });
  }

  async echoed(payload, binary) {
    const message = await this.next('message');
    expect(message.binary, binary, 'binary');
    expect(message.payload.length, payload.length, 'length');
    expect(message.payload.equals(payload), true, 'same bytes');
  }

  async closed(code, reason) {
    const end = await this.next('close');
    expect(end.code, code, 'code');
    if (reason !== undefined) expect(end.reason, reason, 'reason');
  }

  async finish() {
    if (this.ws.readyState === WebSocket.CLOSED) return;
    this.ws.close(1000);
    await this.closed(1000);
  }
}

// A named check: reports how it ended, and lets the scenario go on.
async function check(name, body) {
  try {
    await body();
    console.log(`ok ${name}`);
  } catch (error) {
    console.log(`FAILED ${name}: ${error}`);
  }
}

async function withPeer(path, body) {
  const peer = await Peer.open(path);
  await body(peer);
  await peer.finish();
}

const scenarios = {
  echo: () =>
    withPeer('/echo', async (peer) => {
      for (const size of SIZES) {
        for (const [kind, make, binary] of [['text', textOf, false], ['binary', binaryOf, true]]) {
          await check(`${kind} ${size}`, async () => {
            peer.send(make(size), binary);
            await peer.echoed(make(size), binary);
          });
        }
      }
    }),

  fragments: () =>
    withPeer('/echo', async (peer) => {
      const inPieces = async (pieces, binary, between = () => {}) => {
        pieces.forEach((piece, i) => {
          between(piece);
          peer.send(piece, binary, i === pieces.length - 1);
        });
        await peer.echoed(Buffer.concat(pieces), binary);
      };
      const cut = (bytes, size) =>
        Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
      const buffers = (...texts) => texts.map((text) => Buffer.from(text));
      await check('text cut inside characters', () => inPieces(cut(Buffer.from('Grüße, 世界 😀'.repeat(100)), 3), false));
      await check('one-byte fragments', () => inPieces(cut(binaryOf(1000), 1), true));
      await check('empty fragments', () => inPieces(buffers('', '', 'abc', '', 'def', ''), true));
      await check('large fragments', () => inPieces(Array(5).fill(binaryOf(100_000)), true));
      await check('pings between fragments', async () => {
        const pieces = buffers('one ', 'two ', 'three');
        await inPieces(pieces, false, (piece) => peer.ws.ping(piece));
        for (const piece of pieces) expect(String((await peer.next('pong')).payload), String(piece), 'pong');
      });
    }),

  ping: () =>
    withPeer('/echo', async (peer) => {
      for (const size of [0, 1, 125]) {
        await check(`${size} bytes`, async () => {
          peer.ws.ping(binaryOf(size));
          expect((await peer.next('pong')).payload.equals(binaryOf(size)), true, 'same bytes');
        });
      }
    }),

  close: async () => {
    for (const [name, code, reason] of [
      ['1000', 1000], ['1001', 1001, 'going away'], ['3000', 3000], ['4999', 4999, REASON], ['none'],
    ]) {
      await check(name, async () => {
        const peer = await Peer.open('/echo');
        peer.ws.close(code, reason);
        await peer.closed(code ?? 1005);
      });
    }
  },

  'receive-fragments': () =>
    withPeer('/fragments', async (peer) => {
      for (const [name, payload, binary] of [
        ['text', textOf(1000), false], ['binary', binaryOf(100_000), true], ['empty', Buffer.alloc(0), false],
      ]) {
        await check(name, async () => {
          peer.send(payload, binary);
          await peer.echoed(payload, binary);
        });
      }
    }),

  'receive-ping': () =>
    withPeer('/ping', (peer) => check('pongs', () => peer.echoed(Buffer.from('3 pongs'), false))),

  'receive-close': async () => {
    for (const [name, path, code, reason] of [
      ['1000', '/1000', 1000, ''],
      ['1001', '/1001/going%20away', 1001, 'going away'],
      ['3000', '/3000', 3000, ''],
      ['4999', `/4999/${encodeURIComponent(REASON)}`, 4999, REASON],
      ['none', '', 1005, ''],
    ]) {
      await check(name, async () => (await Peer.open(`/close${path}`)).closed(code, reason));
    }
  },

  subprotocol: async () => {
    await check('one of two', async () => {
      const peer = await Peer.open('/echo', ['other.example', 'echo.example']);
      expect(peer.ws.protocol, 'echo.example', 'subprotocol');
      peer.send('hello', false);
      await peer.echoed(Buffer.from('hello'), false);
      await peer.finish();
    });
    // To `ws` a server that takes none of those offered has failed the handshake: it must have answered so.
    await check('none of two', async () => {
      const peer = new Peer(new WebSocket(`${url}/echo`, ['other.example', 'Echo.Example'], { perMessageDeflate }));
      expect((await peer.next('error')).error.message, 'Server sent no subprotocol', 'error');
    });
    await check('none offered', async () => {
      const peer = await Peer.open('/echo');
      expect(peer.ws.protocol, '', 'subprotocol');
      peer.send('hello', false);
      await peer.echoed(Buffer.from('hello'), false);
      await peer.finish();
    });
  },

  reject: () =>
    check('403', async () => {
      const peer = new Peer(new WebSocket(`${url}/reject`, { perMessageDeflate }));
      expect((await peer.next('refused')).status, 403, 'status');
    }),
};

await scenarios[scenario]();
process.exit();
