// Tests docs/examples/h2 with Node's http2: several WebSockets on one session, flow control, each way to end a stream,
// refusals; the client with a server of Node's. Prints a line for each check, then `N passed, N failed`.
//
//   node h2.mjs DIR       the programs are in DIR
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import http2 from "node:http2";
import net from "node:net";
import readline from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import zlib from "node:zlib";
import { BINARY, CLOSE, PING, PONG, Reader, TEXT, close, frame } from "./frames.mjs";

const programs = process.argv[2];
const PATIENCE = 20_000;
const { NGHTTP2_CANCEL, NGHTTP2_NO_ERROR, NGHTTP2_PROTOCOL_ERROR } = http2.constants;

// --- our server, and Node's client

/** Starts a server. Returns its process, its address, and the lines that it prints later. */
const start = (...options) => new Promise((resolve, reject) => {
  const server = spawn(`${programs}/server`, ["127.0.0.1:0", ...options], { stdio: ["ignore", "pipe", "inherit"] });
  const log = [];
  server.on("exit", () => reject(new Error("the server has ended")));
  readline.createInterface(server.stdout).on("line", line => {
    const [, address] = line.match(/^listening on ws:\/\/(.*)$/) ?? [];
    address ? resolve({ server, address, log }) : log.push(line);
  });
});
const { server, address, log } = await start();

async function connect(to = address) {
  const session = http2.connect(`http://${to}`);
  session.on("error", () => {});
  await new Promise(resolve => session.once("remoteSettings", resolve));
  session.setLocalWindowSize(16 * 1024 * 1024);
  return session;
}

const until = async (what, holds) => {
  for (let left = PATIENCE / 10; !holds(); left--) {
    assert.ok(left > 0, `waited in vain for ${what}`);
    await sleep(10);
  }
};

const headers = (changes = {}) => {
  const all = { ":method": "CONNECT", ":protocol": "websocket", ":path": "/chat", "sec-websocket-version": "13", ...changes };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
};

/** A stream of a session: the response, the frames that arrive, and how it ends. */
class Socket {
  frames = [];
  response;
  hasEnded = false;
  reset; // the code of RST_STREAM, when the stream is closed

  constructor(session, changes) {
    this.stream = session.request(headers(changes), { endStream: false });
    const reader = new Reader();
    this.stream.on("response", response => (this.response = response));
    this.stream.on("data", data => this.frames.push(...reader.push(data)));
    this.stream.on("end", () => (this.hasEnded = reader.isBetweenFrames));
    this.stream.on("error", () => {});
    this.stream.on("close", () => (this.reset = this.stream.rstCode));
  }

  async status() {
    await until("a response", () => this.response || this.reset !== undefined);
    return this.response?.[":status"];
  }

  async next(opcode) {
    await until("a frame", () => this.frames.length > 0 || this.hasEnded);
    const next = this.frames.shift();
    assert.equal(next?.opcode, opcode);
    return next.payload;
  }

  /** Performs the closing handshake, and checks that the server ends the stream in order. */
  async close() {
    this.stream.write(close(4000, "done"));
    assert.equal((await this.next(CLOSE)).readUInt16BE(), 4000);
    await until("END_STREAM", () => this.hasEnded);
    this.stream.end();
    await until("the end", () => this.reset !== undefined);
    assert.equal(this.reset, NGHTTP2_NO_ERROR);
  }
}

async function several_sockets_share_a_session() {
  const session = await connect();
  assert.equal(session.remoteSettings.enableConnectProtocol, true);
  const sockets = Array.from({ length: 10 }, (_, i) => new Socket(session, { ":path": `/socket/${i}` }));
  for (const [i, socket] of sockets.entries()) {
    assert.equal(await socket.status(), 200);
    assert.equal(socket.response["sec-websocket-accept"], undefined);
    socket.stream.write(frame(TEXT, `hello ${i}`));
  }
  for (const [i, socket] of sockets.entries()) {
    assert.equal((await socket.next(TEXT)).toString(), `hello ${i}`);
    socket.stream.write(Buffer.concat([frame(PING, "p"), frame(BINARY, Buffer.alloc(300_000, i))]));
  }
  for (const [i, socket] of sockets.entries()) {
    assert.equal((await socket.next(PONG)).toString(), "p");
    assert.deepEqual(await socket.next(BINARY), Buffer.alloc(300_000, i));
  }
  await sockets[3].close();
  sockets[4].stream.write(frame(TEXT, "still here"));
  assert.equal((await sockets[4].next(TEXT)).toString(), "still here");
  await Promise.all(sockets.filter((_, i) => i !== 3).map(socket => socket.close()));
  for (let i = 0; i < 10; i++) assert.ok(log.some(line => line.endsWith(`extended CONNECT for ${address} /socket/${i}`)), log);
  session.close();
}

async function compression_is_negotiated() {
  const session = await connect();
  const socket = new Socket(session, { "sec-websocket-extensions": "permessage-deflate; server_no_context_takeover" });
  assert.equal(await socket.status(), 200);
  assert.match(socket.response["sec-websocket-extensions"], /^permessage-deflate/);
  const text = "compressible ".repeat(1000);
  const deflated = zlib.deflateRawSync(text, { finishFlush: zlib.constants.Z_SYNC_FLUSH }).subarray(0, -4);
  socket.stream.write(frame(TEXT, deflated, { rsv1: true }));
  await until("a frame", () => socket.frames.length > 0);
  const [echo] = socket.frames.splice(0);
  assert.ok(echo.rsv1 && echo.payload.length < 1000);
  const inflated = zlib.inflateRawSync(Buffer.concat([echo.payload, Buffer.from([0, 0, 255, 255])]), {
    finishFlush: zlib.constants.Z_SYNC_FLUSH,
  });
  assert.equal(inflated.toString(), text);
  await socket.close();
  session.close();
}

async function a_socket_that_does_not_read_is_not_read_and_stops_no_other() {
  const session = await connect();
  const [slow, quick] = [new Socket(session), new Socket(session)];
  assert.equal(await slow.status(), 200);
  assert.equal(await quick.status(), 200);
  slow.stream.pause();
  const message = frame(BINARY, Buffer.alloc(10_000, 7));
  const count = 800; // 8 MB: much more than all windows and water marks
  let written = 0;
  for (let i = 0; i < count; i++) slow.stream.write(message, () => written++);
  let before;
  do {
    before = written;
    await sleep(300);
  } while (written !== before);
  assert.ok(written < count / 4, `${written} of ${count} messages were taken`);
  quick.stream.write(frame(TEXT, "quick"));
  assert.equal((await quick.next(TEXT)).toString(), "quick");
  slow.stream.resume();
  await until("all echoes", () => slow.frames.length === count);
  assert.ok(slow.frames.every(frame => frame.payload.equals(Buffer.alloc(10_000, 7))));
  slow.frames.length = 0;
  await Promise.all([slow.close(), quick.close()]);
  session.close();
}

async function a_failed_connection_sends_its_close_and_ends_the_stream() {
  const session = await connect();
  const [ends, stays] = [new Socket(session), new Socket(session)];
  for (const socket of [ends, stays]) {
    assert.equal(await socket.status(), 200);
    socket.stream.write(frame(TEXT, "x", { masked: false }));
    assert.equal((await socket.next(CLOSE)).readUInt16BE(), 1002);
    await until("END_STREAM", () => socket.hasEnded);
    assert.equal(socket.reset, undefined);
  }
  ends.stream.end();
  await until("the end", () => ends.reset !== undefined);
  assert.equal(ends.reset, NGHTTP2_NO_ERROR);
  // The server waits for close_timeout, 5 s, for this end.
  await until("RST_STREAM", () => stays.reset !== undefined);
  assert.equal(stays.reset, NGHTTP2_CANCEL);
  session.close();
}

async function a_close_that_cannot_be_written_becomes_a_reset() {
  const session = await connect();
  const socket = new Socket(session);
  assert.equal(await socket.status(), 200);
  // More than the window of the client, 65,535 bytes, which is not read. The rest is less than the server's low water mark,
  // so it reads on, and its Close waits behind the rest for close_timeout, 5 s.
  socket.stream.pause();
  socket.stream.write(Buffer.concat([frame(BINARY, Buffer.alloc(70_000)), close(1000)]));
  await until("RST_STREAM", () => socket.stream.rstCode !== undefined && socket.stream.rstCode !== 0);
  assert.equal(socket.stream.rstCode, NGHTTP2_CANCEL);
  session.close();
}

async function a_close_that_is_not_read_becomes_a_reset() {
  const short = await start("--idle-timeout=1");
  const session = await connect(short.address);
  const socket = new Socket(session);
  assert.equal(await socket.status(), 200);
  // The rest, 100,000 - 65,535 bytes, is more than the server's low water mark. So it does not read the Close, and gives the
  // stream up after the idle timeout.
  socket.stream.pause();
  socket.stream.write(Buffer.concat([frame(BINARY, Buffer.alloc(100_000)), close(1000)]));
  await until("RST_STREAM", () => socket.stream.rstCode !== undefined && socket.stream.rstCode !== 0);
  assert.equal(socket.stream.rstCode, NGHTTP2_CANCEL);
  await until("the server's log", () => short.log.some(line => line.endsWith("idle timeout has passed")));
  session.close();
  short.server.removeAllListeners("exit");
  short.server.kill();
}

async function a_connection_without_a_stream_is_ended() {
  const short = await start("--idle-timeout=1");
  const [, host, port] = short.address.match(/^(.*):(\d+)$/);
  const silent = net.connect(Number(port), host).resume();
  const session = await connect(short.address);
  for (const end of [silent, session]) await until("the end", () => end.destroyed);
  short.server.removeAllListeners("exit");
  short.server.kill();
}

async function a_reset_stream_ends_its_socket_alone() {
  const session = await connect();
  const [reset, other] = [new Socket(session, { ":path": "/reset" }), new Socket(session)];
  for (const socket of [reset, other]) assert.equal(await socket.status(), 200);
  reset.stream.write(frame(TEXT, "half of this").subarray(0, 9));
  other.stream.write(frame(TEXT, "x"));
  assert.equal((await other.next(TEXT)).toString(), "x");
  // RST_STREAM alone: `close` would send END_STREAM before it.
  reset.stream.destroy(new Error());
  await until("the server's log", () => log.some(line => /^stream \d+: \/reset: .*connection was aborted$/.test(line)));
  other.stream.write(frame(TEXT, "y"));
  assert.equal((await other.next(TEXT)).toString(), "y");
  await other.close();
  session.close();
}

async function an_end_without_a_close_ends_the_stream() {
  const session = await connect();
  const socket = new Socket(session);
  assert.equal(await socket.status(), 200);
  socket.stream.end();
  await until("END_STREAM", () => socket.hasEnded && socket.reset !== undefined);
  assert.equal(socket.reset, NGHTTP2_NO_ERROR);
  session.close();
}

async function other_requests_get_their_status() {
  const session = await connect();
  for (const [changes, status, more = {}] of [
    [{ ":protocol": "connect-udp" }, 501],
    [{ ":protocol": "WebSocket" }, 501],
    [{ "sec-websocket-version": "8" }, 400, { "sec-websocket-version": "13" }],
    [{ "sec-websocket-version": undefined }, 400],
    [{ ":scheme": "ftp" }, 400],
    [{ "content-length": "5" }, 400],
    [{ "sec-websocket-protocol": "a, a" }, 400],
    [{ ":method": "GET", ":protocol": undefined }, 200],
    [{ ":protocol": undefined, ":path": undefined, ":authority": "example.com:443" }, 501],
    // RFC 9113 8.1.1: a malformed request is a stream error. h2 resets the stream by itself.
    [{ ":method": "GET" }, undefined],
  ]) {
    const socket = new Socket(session, changes);
    assert.equal(await socket.status(), status, JSON.stringify(changes));
    for (const [name, value] of Object.entries(more)) assert.equal(socket.response[name], value);
    if (status) socket.stream.close();
    else assert.equal(socket.reset, NGHTTP2_PROTOCOL_ERROR);
  }
  session.close();
}

async function a_lost_session_leaves_the_server_running() {
  const session = await connect();
  const socket = new Socket(session);
  assert.equal(await socket.status(), 200);
  session.destroy();
  const next = await connect();
  await new Socket(next).close();
  next.close();
}

// --- our client

const client = (url, ...texts) => new Promise(resolve => {
  execFile(`${programs}/client`, [url, ...texts], { timeout: PATIENCE }, (error, stdout, stderr) =>
    resolve({ code: error?.code ?? 0, lines: stdout.split("\n").slice(0, -1).sort(), stderr }));
});

async function our_client_and_server_speak_with_each_other() {
  const texts = ["", "a".repeat(100_000), "grüße", "hello"];
  assert.deepEqual(await client(`ws://${address}/`, ...texts), { code: 0, lines: texts, stderr: "" });
}

/** A server of Node's, which answers each stream by `answer`. */
async function foreign(settings, answer) {
  const server = http2.createServer({ settings });
  server.on("stream", (stream, headers) => {
    stream.on("error", () => {});
    answer(stream, headers);
  });
  await new Promise(resolve => server.listen(0, "127.0.0.1", resolve));
  return { server, url: `ws://127.0.0.1:${server.address().port}/` };
}

async function our_client_speaks_with_a_server_of_nodes() {
  const seen = [];
  const sessions = new Set();
  const { server, url } = await foreign({ enableConnectProtocol: true }, (stream, headers) => {
    seen.push([headers[":method"], headers[":protocol"], headers["sec-websocket-version"], headers["sec-websocket-key"]]);
    sessions.add(stream.session);
    stream.respond({ ":status": 200 });
    const reader = new Reader({ masked: true });
    stream.on("data", data => {
      for (const { opcode, payload } of reader.push(data)) {
        stream.write(frame(opcode, payload, { masked: false }));
        if (opcode === CLOSE) stream.end();
      }
    });
  });
  const texts = ["a", "b", "c", "d".repeat(100_000)];
  assert.deepEqual(await client(url, ...texts), { code: 0, lines: texts, stderr: "" });
  assert.deepEqual(seen, texts.map(() => ["CONNECT", "websocket", "13", undefined]));
  assert.equal(sessions.size, 1);
  server.close();
}

async function our_client_reports_what_a_server_refuses() {
  for (const [settings, answer, error] of [
    [{}, () => {}, /SETTINGS_ENABLE_CONNECT_PROTOCOL/],
    [{ enableConnectProtocol: true }, stream => stream.respond({ ":status": 403 }, { endStream: true }), /status is 403/],
    [
      { enableConnectProtocol: true },
      stream => stream.respond({ ":status": 200, "sec-websocket-protocol": "chat" }),
      /subprotocol/,
    ],
    [{ enableConnectProtocol: true }, stream => stream.close(NGHTTP2_CANCEL), /./],
  ]) {
    const { server, url } = await foreign(settings, answer);
    const { code, stderr } = await client(url, "x");
    assert.equal(code, 1);
    assert.match(stderr, error);
    server.close();
  }
}

// --- all

let passed = 0, failed = 0;
await Promise.all([
  several_sockets_share_a_session,
  compression_is_negotiated,
  a_socket_that_does_not_read_is_not_read_and_stops_no_other,
  a_failed_connection_sends_its_close_and_ends_the_stream,
  a_close_that_cannot_be_written_becomes_a_reset,
  a_close_that_is_not_read_becomes_a_reset,
  a_connection_without_a_stream_is_ended,
  a_reset_stream_ends_its_socket_alone,
  an_end_without_a_close_ends_the_stream,
  other_requests_get_their_status,
  a_lost_session_leaves_the_server_running,
  our_client_and_server_speak_with_each_other,
  our_client_speaks_with_a_server_of_nodes,
  our_client_reports_what_a_server_refuses,
].map(async check => {
  try {
    await check();
    passed++;
    console.log(`ok      h2: ${check.name}`);
  } catch (error) {
    failed++;
    console.log(`FAILED  h2: ${check.name}: ${error.stack}`);
  }
}));
server.removeAllListeners("exit");
server.kill();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);
