// The page's second WebSocket: the server tells on it what the machine sees. A record is a kind, the number of the
// connection, the time in microseconds, the size of the body, and the body.

import { Cutter } from "./cutter.js";

const RECORD_HEAD = 17;
const text = new TextDecoder();

/** The name under which the server knows this page. Nobody else can guess it. */
export const tab = Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => byte.toString(16).padStart(2, "0")).join("");

/** The URL of a WebSocket of this server. */
export const url = (path, query) => `ws${location.protocol.slice(4)}//${location.host}${path}?${new URLSearchParams({ tab, ...query })}`;

/** A record becomes an event of this name, with the body parsed as `detail.body`. */
const NAMES = { C: "closed", E: "refused", L: "lost", M: "content", N: "news", O: "open", S: "state", V: "verdict", W: "content" };

class Inspector extends EventTarget {
  #socket = null;
  /** By the number of a connection: the cutters of what it has received and sent. */
  #cutters = new Map();
  #verdicts = [];
  /** A server that was started again counts its connections from 1 again. Here they count on. */
  #base = 0;
  #last = 0;

  /** Connects, and connects again a second after each end. */
  connect() {
    const socket = new WebSocket(url("/inspect", {}), "inspect");
    socket.binaryType = "arraybuffer";
    socket.onopen = () => { this.#socket = socket; this.#emit("up", {}); };
    socket.onmessage = event => this.#read(event.data);
    socket.onclose = () => {
      if (this.#socket) this.#emit("down", {});
      this.#socket = null;
      this.#base = this.#last;
      this.#settle("not known: the server is gone");
      setTimeout(() => this.connect(), 1000);
    };
  }

  /** Orders the server to do something to one of this page's connections. */
  order(verb, number, ...words) {
    // A connection of an earlier server takes no orders.
    if (number === 0 || number > this.#base) this.#socket?.send([number && number - this.#base, verb, ...words].join(" "));
  }

  /** Asks what the server's crate says in a role, `client` or `server`, to a peer that sends these bytes. */
  judge(role, script) {
    if (!this.#socket) return Promise.resolve("not known: the server is gone");
    this.#socket.send(Uint8Array.of(role.charCodeAt(0), ...script));
    return new Promise(resolve => this.#verdicts.push(resolve));
  }

  /** Answers all questions for a verdict. */
  #settle(verdict) {
    for (const resolve of this.#verdicts.splice(0)) resolve(verdict);
  }

  #read(buffer) {
    const view = new DataView(buffer);
    const frames = [];
    for (let at = 0; at < buffer.byteLength;) {
      const kind = String.fromCharCode(view.getUint8(at));
      const told = view.getUint32(at + 1);
      const number = told && told + this.#base;
      this.#last = Math.max(this.#last, number);
      const time = Number(view.getBigUint64(at + 5));
      const size = view.getUint32(at + 13);
      const body = new Uint8Array(buffer, at + RECORD_HEAD, size);
      at += RECORD_HEAD + size;
      if (kind === "I" || kind === "U") {
        this.#cut(number, time, kind === "I" ? 0 : 1, body, frames);
        continue;
      }
      if (kind === "C") this.#finish(number, time, frames);
      if (kind === "L") {
        this.#cutters.clear();
        this.#settle("not known: what the server told was lost");
      }
      this.#flush(frames);
      if (kind === "V") this.#verdicts.shift()?.(text.decode(body));
      else this.#emit(NAMES[kind], { number, time, body: readBody(kind, body) });
    }
    this.#flush(frames);
  }

  /** Cuts the bytes of one direction into the head and frames. */
  #cut(number, time, way, bytes, frames) {
    let pair = this.#cutters.get(number);
    if (!pair) {
      // Without its beginning, a connection cannot be cut: records were lost.
      if (way === 1 || text.decode(bytes.subarray(0, 5)) !== "GET /") return;
      this.#cutters.set(number, pair = [new Cutter(), new Cutter()]);
    }
    pair[way].wireBytes += bytes.length;
    for (const piece of pair[way].pass(bytes)) {
      if (piece.header) frames.push({ number, time, way, ...piece });
      else { this.#flush(frames); this.#emit("head", { number, time, body: { way, bytes: piece.head } }); }
    }
  }

  #finish(number, time, frames) {
    for (const [way, cutter] of (this.#cutters.get(number) ?? []).entries()) {
      const piece = cutter.finish();
      if (piece) frames.push({ number, time, way, ...piece });
    }
    this.#finished.push(number);
    if (this.#finished.length > 50) this.#cutters.delete(this.#finished.shift());
  }
  #finished = [];

  /** The bytes that a connection has received and sent. */
  wireBytes = number => (this.#cutters.get(number) ?? []).map(cutter => cutter.wireBytes);

  /** Frames are told in batches: there can be many. */
  #flush(frames) {
    if (frames.length > 0) this.#emit("frames", frames.splice(0));
  }

  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

function readBody(kind, body) {
  if (kind === "M" || kind === "W") {
    const size = new DataView(body.buffer, body.byteOffset, body.byteLength).getUint32(0);
    return { way: kind === "M" ? 0 : 1, size, front: body.slice(4) };
  }
  const all = text.decode(body);
  if ("ELNO".includes(kind)) return all;
  // A line for each name and value.
  return Object.fromEntries(all.split("\n").map(line => [line.split("\t")[0], line.slice(line.indexOf("\t") + 1)]));
}

export const inspector = new Inspector();
