// An echo over TLS on Node's `ws`: server.mjs ADDRESS CERTIFICATE KEY.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { createRequire } from 'node:module';

const { WebSocketServer } = createRequire(`${process.env.PEERS}/`)('ws');
const [address, certificate, key] = process.argv.slice(2);
const [host, port] = address.split(':');
const https = createServer({ cert: readFileSync(certificate), key: readFileSync(key) });
new WebSocketServer({ server: https }).on('connection', (ws) => {
  ws.on('message', (payload, binary) => ws.send(payload, { binary }));
});
https.listen(Number(port), host, () => console.log(`listening on wss://${host}:${https.address().port}`));
