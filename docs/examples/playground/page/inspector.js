// The page's second WebSocket: the server tells on it what the machine sees. A record is a kind, the number of the
// connection, the time in microseconds, the size of the body, and the body.

const RECORD_HEAD = 17;
const text = new TextDecoder();

/** The name under which the server knows this page. Nobody else can guess it. */
export const tab = Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => byte.toString(16).padStart(2, "0")).join("");

/** The URL of a WebSocket of this server. */
export const url = (path, query) => `ws${location.protocol.slice(4)}//${location.host}${path}?${new URLSearchParams({ tab, ...query })}`;

/** A record becomes an event of this name, with the body parsed as `detail.body`. */
const NAMES = { A: "attacks", C: "closed", E: "refused", F: "frame", H: "head", L: "lost", M: "content", N: "news", O: "open", S: "state" };

class Inspector extends EventTarget {
  #socket = null;

  /** Connects, and connects again a second after each end. */
  connect() {
    const socket = new WebSocket(url("/inspect", {}), "inspect");
    socket.binaryType = "arraybuffer";
    socket.onopen = () => { this.#socket = socket; this.#emit("up", {}); };
    socket.onmessage = event => this.#read(event.data);
    socket.onclose = () => {
      if (this.#socket) this.#emit("down", {});
      this.#socket = null;
      setTimeout(() => this.connect(), 1000);
    };
  }

  /** Orders the server to do something to one of this page's connections. */
  order(verb, number, ...words) {
    this.#socket?.send([verb, number, ...words].join(" "));
  }

  #read(buffer) {
    const view = new DataView(buffer);
    const frames = [];
    for (let at = 0; at < buffer.byteLength;) {
      const kind = String.fromCharCode(view.getUint8(at));
      const number = view.getUint32(at + 1);
      const time = Number(view.getBigUint64(at + 5));
      const size = view.getUint32(at + 13);
      const body = new Uint8Array(buffer, at + RECORD_HEAD, size);
      at += RECORD_HEAD + size;
      if (kind === "F") {
        frames.push(readFrame(number, time, body));
      } else {
        this.#flush(frames);
        this.#emit(NAMES[kind], { number, time, body: readBody(kind, body) });
      }
    }
    this.#flush(frames);
  }

  /** Frames are told in batches: there can be many. */
  #flush(frames) {
    if (frames.length > 0) this.#emit("frames", frames.splice(0));
  }

  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

function readFrame(number, time, body) {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const copy = body.slice(6); // so that the record's buffer is freed
  return { number, time, way: body[0], message: view.getUint32(2), header: copy.subarray(0, body[1]), payload: copy.subarray(body[1]) };
}

function readBody(kind, body) {
  switch (kind) {
    case "H": return { way: body[0], bytes: body.slice(1) };
    case "M": {
      const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
      return { way: body[0], message: view.getUint32(1), size: view.getUint32(5), front: body.slice(9) };
    }
    default: return JSON.parse(text.decode(body));
  }
}

export const inspector = new Inspector();
