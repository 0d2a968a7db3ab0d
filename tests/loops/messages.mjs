// Sends a text and a binary message of each size, on Node's `ws`, and compares the echoes: messages.mjs URL SIZE... Prints
// `SIZE ok`, or `SIZE closed CODE` and ends.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createRequire } from 'node:module';

const WebSocket = createRequire(`${process.env.PEERS}/`)('ws');
const [url, ...sizes] = process.argv.slice(2);
const ws = new WebSocket(url, { perMessageDeflate: false });
const closed = once(ws, 'close');
await once(ws, 'open');
for (const size of sizes.map(Number)) {
  for (const [payload, binary] of [[Buffer.alloc(size, 'x'), false], [randomBytes(size), true]]) {
    ws.send(payload, { binary });
    const [first, second] = await Promise.race([once(ws, 'message'), closed]);
    if (typeof first === 'number') {
      console.log(`${size} closed ${first}`);
      process.exit();
    }
    if (second !== binary || !first.equals(payload)) throw new Error(`the echo of ${size} bytes differs`);
  }
  console.log(`${size} ok`);
}
ws.close(1000);
await closed;
