// Cuts the bytes of one direction into the head and frames. It accepts frames that break rules: the page shows those too.

/** The bytes of a payload that the page keeps. */
const KEPT_BYTES = 64 * 1024;

export class Cutter {
  wireBytes = 0;
  #hasHead = false;
  /** The bytes of the head or of a header, until it is whole. */
  #front = [];
  /** The frame whose payload is being collected. */
  #frame = null;
  #filled = 0;
  #skipped = 0;
  #messages = 0;
  /** Whether the latest message is compressed: RSV1 of its first frame (RFC 7692 6). */
  #isCompressed = false;

  /** Returns what is complete: `{ head }`, or `{ header, payload, message, isCompressed }`. */
  pass(bytes) {
    const pieces = [];
    for (let at = 0; at < bytes.length;) {
      if (this.#skipped > 0) {
        const n = Math.min(this.#skipped, bytes.length - at);
        this.#skipped -= n;
        at += n;
      } else if (this.#frame) {
        const part = bytes.subarray(at, at + this.#frame.payload.length - this.#filled);
        this.#frame.payload.set(part, this.#filled);
        this.#filled += part.length;
        at += part.length;
      } else {
        this.#front.push(bytes[at]);
        at += 1;
        if (this.#hasHead) this.#begin();
        else if (this.#front.slice(-4).join() === "13,10,13,10") pieces.push(this.#takeHead());
      }
      if (this.#frame && this.#filled === this.#frame.payload.length) pieces.push(this.#takeFrame());
    }
    return pieces;
  }

  /** Returns all that there is of the last frame of a connection. */
  finish() {
    if (!this.#frame) return null;
    this.#frame.payload = this.#frame.payload.slice(0, this.#filled);
    return this.#takeFrame();
  }

  #takeHead() {
    const head = Uint8Array.from(this.#front);
    const line = String.fromCharCode(...head.subarray(0, 12));
    // Only frames follow a request and a 101.
    if (line.startsWith("HTTP/") && !line.endsWith("101")) this.#skipped = Infinity;
    this.#hasHead = true;
    this.#front = [];
    return { head };
  }

  #begin() {
    const [first, second] = this.#front;
    const short = second & 0x7f;
    const extended = short === 126 ? 2 : short === 127 ? 8 : 0;
    if (this.#front.length < 2 || this.#front.length < 2 + extended + (second & 0x80 ? 4 : 0)) return;
    const length = extended === 0 ? short : this.#front.slice(2, 2 + extended).reduce((sum, byte) => sum * 256 + byte, 0);
    const opcode = first & 0x0f;
    if (opcode === 1 || opcode === 2) {
      this.#messages += 1;
      this.#isCompressed = (first & 0x40) !== 0;
    }
    const payload = new Uint8Array(Math.min(length, KEPT_BYTES));
    this.#frame = { header: Uint8Array.from(this.#front), payload, message: this.#messages, isCompressed: this.#isCompressed && opcode < 8, length };
    this.#filled = 0;
    this.#front = [];
  }

  #takeFrame() {
    const { length, ...piece } = this.#frame;
    this.#skipped = length - this.#filled;
    this.#frame = null;
    return piece;
  }
}
