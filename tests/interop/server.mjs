// A scripted WebSocket server on Node's `ws`. README.md lists its paths.
import { createRequire } from 'node:module';

const { WebSocketServer } = createRequire(`${process.env.PEERS}/`)('ws');
const SUBPROTOCOL = 'echo.example';
const DEFLATE = {
  '--deflate': {},
  '--deflate=no-context-takeover': { serverNoContextTakeover: true, clientNoContextTakeover: true },
};
for (let bits = 9; bits < 15; bits++) {
  DEFLATE[`--deflate=${bits}`] = { serverMaxWindowBits: bits, clientMaxWindowBits: bits };
}
const PINGS = [Buffer.alloc(0), Buffer.from('p'), Buffer.from([...Array(125).keys()])];

function fragments(ws, payload, binary) {
  const size = Math.ceil(payload.length / 7);
  for (let i = 0; i < 7; i++) {
    ws.ping(`before ${i}`);
    ws.send(payload.subarray(i * size, (i + 1) * size), { binary, fin: false });
  }
  ws.ping('before the end');
  ws.send(Buffer.alloc(0), { binary, fin: true });
}

function pingThrice(ws) {
  let answered = 0;
  ws.on('pong', (payload) => {
    if (!payload.equals(PINGS[answered])) ws.close(4000, `wrong pong ${answered}`);
    else if (++answered < PINGS.length) ws.ping(PINGS[answered]);
    else ws.send(`${answered} pongs`);
  });
  ws.ping(PINGS[0]);
}

const [host, port] = process.argv[2].split(':');
const server = new WebSocketServer({
  host,
  port: Number(port),
  perMessageDeflate: DEFLATE[process.argv[3]] ?? false,
  handleProtocols: (offered) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  verifyClient: ({ req }, answer) =>
    req.url === '/reject' ? answer(false, 403, 'not here\n') : answer(true),
});
server.on('listening', () => console.log(`listening on ws://${host}:${server.address().port}`));
server.on('connection', (ws, request) => {
  const [what, code, reason] = request.url.slice(1).split('/');
  ws.on('error', (error) => console.error(`${request.url}: ${error}`));
  if (what === 'close') {
    if (code) ws.close(Number(code), decodeURIComponent(reason ?? ''));
    else ws.close();
    return;
  }
  if (what === 'ping') pingThrice(ws);
  ws.on('message', (payload, binary) => {
    if (what === 'fragments') fragments(ws, payload, binary);
    else ws.send(payload, { binary });
  });
});
