// All frames that the server told of, and what belongs to them: handshakes, contents of compressed messages. The memory
// is bounded: beyond it the oldest payloads are cut, then the oldest frames are dropped.

import { IN } from "./frame.js";

const MAX_FRAMES = 300_000;
const MAX_BYTES = 64 * 1024 * 1024;
const CUT_BYTES = 64;

class Store {
  frames = [];
  /** The number of the first frame in `frames`. */
  first = 1;
  heads = new Map();
  /** Directions of connections whose first frames are not here any more. */
  #beheaded = new Set();
  #contents = new Map();
  /** The messages of which contents were told, for each direction of a connection. */
  #counts = new Map();
  #deflating = new Set();
  #bytes = 0;
  #uncut = 0;

  add(frames) {
    for (const frame of frames) {
      frame.id = this.first + this.frames.length;
      this.frames.push(frame);
      this.#bytes += frame.payload.length;
    }
    while (this.#bytes > MAX_BYTES && this.#uncut < this.frames.length) {
      const frame = this.frames[this.#uncut];
      this.#uncut += 1;
      if (frame.payload.length > CUT_BYTES) {
        this.#bytes -= frame.payload.length - CUT_BYTES;
        frame.header = frame.header.slice();
        frame.payload = frame.payload.slice(0, CUT_BYTES);
      }
    }
    if (this.frames.length > MAX_FRAMES) {
      const dropped = this.frames.splice(0, this.frames.length - MAX_FRAMES + 50_000);
      this.first += dropped.length;
      for (const frame of dropped) {
        this.#bytes -= frame.payload.length;
        this.#beheaded.add(`${frame.number} ${frame.way}`);
      }
      this.#uncut = Math.max(0, this.#uncut - dropped.length);
    }
  }

  clear() {
    for (const frame of this.frames) this.#beheaded.add(`${frame.number} ${frame.way}`);
    this.first += this.frames.length;
    this.frames = [];
    this.#bytes = 0;
    this.#uncut = 0;
    this.#contents.clear();
  }

  addHead(number, way, bytes) {
    const heads = this.heads.get(number) ?? [null, null];
    heads[way] = bytes;
    this.heads.set(number, heads);
    if (this.heads.size > 200) this.heads.delete(this.heads.keys().next().value);
  }

  noteOpen(number, isDeflating) {
    if (isDeflating) this.#deflating.add(number);
  }

  isDeflating = number => this.#deflating.has(number);

  addContent(number, { way, size, front }) {
    const message = (this.#counts.get(`${number} ${way}`) ?? 0) + 1;
    this.#counts.set(`${number} ${way}`, message);
    this.#contents.set(`${number} ${way} ${message}`, { size, front });
    if (this.#contents.size > 20_000) this.#contents.delete(this.#contents.keys().next().value);
  }

  /** The inflated message to which a frame belongs. */
  content = frame => this.#contents.get(`${frame.number} ${frame.way} ${frame.message}`);

  /** The data frames of the message to which a frame belongs, near it. */
  messageOf(frame) {
    const at = frame.id - this.first;
    const near = this.frames.slice(Math.max(0, at - 2000), at + 2000);
    return near.filter(other => other.number === frame.number && other.way === frame.way && other.message === frame.message && (other.header[0] & 8) === 0);
  }

  /** Whether all frames from the first on are here that one end of a connection sent. */
  hasBeginning = (number, way) => !this.#beheaded.has(`${number} ${way}`);

  /** The bytes that one end of a connection sent, up to the first that was not copied. */
  capture(number, way) {
    const parts = [this.heads.get(number)?.[way] ?? new Uint8Array(0)];
    for (const frame of this.frames) {
      if (frame.number !== number || frame.way !== way) continue;
      parts.push(frame.header, frame.payload);
      if (frame.payload.length < lengthOf(frame.header)) break;
    }
    return new Blob(parts, { type: "application/octet-stream" });
  }
}

function lengthOf(header) {
  const short = header[1] & 0x7f;
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  return short === 126 ? view.getUint16(2) : short === 127 ? Number(view.getBigUint64(2)) : short;
}

export const store = new Store();
export { IN };
