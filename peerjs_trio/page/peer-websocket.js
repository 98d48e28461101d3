// A WebSocket over the connection.

import {
  CANCELLED, COST, INVALID, MESSAGE, MORE, TEXT, TOO_LARGE, Violation,
  encoder, failure, joined, strict,
} from "./peer-frames.js";
import { Stream } from "./peer-stream.js";

/**
 * @typedef {import("./peer-frames.js").Head} Head
 * @typedef {import("./peer-session.js").Session} Session
 * @typedef {import("./peer-stream.js").Sink} Sink
 */

// No host of anybody's. What is behind the server may see it as its own.
export const BASE = "http://peer.invalid/";

/** Like the browser's WebSocket. @implements {Sink} */
export class PeerWebSocket extends EventTarget {
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSING = 2;
  static CLOSED = 3;
  CONNECTING = 0;
  OPEN = 1;
  CLOSING = 2;
  CLOSED = 3;

  /** @type {"blob" | "arraybuffer"} */
  binaryType = "blob";
  readyState = 0;
  bufferedAmount = 0;
  protocol = "";
  extensions = "";
  /** @type {((event: Event) => any) | null} */
  onopen = null;
  /** @type {((event: MessageEvent) => any) | null} */
  onmessage = null;
  /** @type {((event: Event) => any) | null} */
  onerror = null;
  /** @type {((event: CloseEvent) => any) | null} */
  onclose = null;

  #session;
  #stream;
  /** @type {string[]} */
  #offered;
  /** @type {Promise<void>} */
  #sending = Promise.resolve();
  /** @type {Uint8Array<ArrayBuffer>[]} */
  #parts = [];
  #size = 0;
  #flags = 0;

  /** @param {Session} session @param {string | URL} url @param {string | string[]} protocols */
  constructor(session, url, protocols) {
    super();
    if (!URL.canParse(String(url), BASE)) throw new DOMException(`no URL: ${url}`, "SyntaxError");
    const { href, protocol, pathname, search } = new URL(url, BASE);
    if (!/^(ws|http)s?:$/.test(protocol)) {
      throw new DOMException(`not a URL of WebSocket: ${protocol}`, "SyntaxError");
    }
    this.#offered = [protocols].flat();
    const distinct = new Set(this.#offered.map((name) => name.toLowerCase()));
    if (
      distinct.size < this.#offered.length ||
      !this.#offered.every((name) => /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name))
    ) {
      throw new DOMException("subprotocols are distinct tokens", "SyntaxError");
    }
    this.url = href.replace(/^http/, "ws");
    for (const type of /** @type {const} */ (["open", "message", "error", "close"])) {
      this.addEventListener(type, (event) => this[`on${type}`]?.(/** @type {any} */ (event)));
    }
    const names = this.#offered.join(", ");
    const headers = names ? [["sec-websocket-protocol", names]] : [];
    const head = { method: "GET", path: pathname + search, headers, websocket: true };
    this.#session = session;
    this.#stream = new Stream(session, head, this, false);
  }

  /** @param {string | ArrayBufferLike | ArrayBufferView | Blob} data */
  send(data) {
    if (this.readyState === 0) throw new DOMException("not open yet", "InvalidStateError");
    const whole = data instanceof Blob ? data : bytesOf(data);
    const size = whole instanceof Blob ? whole.size : whole.length;
    if (size > this.#session.message) {
      throw new TypeError(`${size} bytes; the server takes messages of ${this.#session.message}`);
    }
    this.bufferedAmount += size;
    if (this.readyState !== 1) return;
    const flags = typeof data === "string" ? TEXT : 0;
    this.#sending = this.#sending.then(async () => {
      const bytes = whole instanceof Blob ? new Uint8Array(await whole.arrayBuffer()) : whole;
      if (await this.#stream.write(bytes, flags, flags | MORE)) this.bufferedAmount -= size;
    });
    this.#sending = this.#sending.catch((error) => this.#stream.reset(CANCELLED, error));
  }

  /** @param {number} [code] @param {string} [reason] */
  close(code, reason = "") {
    if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999)) {
      throw new DOMException("a code is 1000 or 3000 to 4999", "InvalidAccessError");
    }
    if (encoder.encode(reason).length > 123) {
      throw new DOMException("a reason has at most 123 bytes", "SyntaxError");
    }
    if (this.readyState > 1) return;
    const connecting = this.readyState === 0;
    this.readyState = 2;
    if (connecting) {
      const error = failure("CANCELLED", "closed before it was open");
      queueMicrotask(() => this.#stream.reset(CANCELLED, error));
    } else this.#sending.then(() => this.#stream.close(code ?? 1005, reason));
  }

  /** @param {Head} head */
  responded({ status, headers }) {
    const chosen = headers.get("sec-websocket-protocol") ?? "";
    const trouble =
      status !== 101 ? `the server refused, with status ${status}`
      : chosen && !this.#offered.includes(chosen) ? "the server chose a subprotocol not offered"
      : "";
    if (trouble) this.#stream.reset(CANCELLED, failure("REFUSED", trouble));
    else if (this.readyState === 0) {
      this.readyState = 1;
      this.protocol = chosen;
      this.dispatchEvent(new Event("open"));
    }
  }

  /** @param {Uint8Array<ArrayBuffer>} bytes @param {number} flags */
  data(bytes, flags) {
    this.#stream.consumed(bytes.length + COST);
    if (this.#parts.length && (this.#flags ^ flags) & TEXT) {
      throw new Violation("a message that is text and binary");
    }
    this.#parts.push(bytes);
    this.#size += bytes.length;
    this.#flags = flags;
    if (this.#size > MESSAGE || this.#parts.length > MESSAGE / COST) {
      return this.#stream.reset(TOO_LARGE, failure("TOO_LARGE", "a message of more than 1 MiB"));
    }
    if (flags & MORE) return;
    const whole = joined(this.#parts, this.#size);
    [this.#parts, this.#size] = [[], 0];
    /** @type {string | Blob | ArrayBuffer} */
    let data = whole.buffer;
    try {
      if (flags & TEXT) data = strict.decode(whole);
      else if (this.binaryType === "blob") data = new Blob([whole]);
    } catch {
      return this.#stream.reset(INVALID, failure("INVALID", "a text message that is no UTF-8"));
    }
    if (this.readyState !== 1) return;
    this.dispatchEvent(new MessageEvent("message", { data, origin: new URL(this.url).origin }));
  }

  /** @param {number} code @param {string} reason */
  closed(code, reason) {
    if (code === 1006) this.dispatchEvent(new Event("error"));
    this.#close(code, reason);
  }

  /** @param {unknown} error */
  ended(error) {
    this.readyState = 3;
    this.dispatchEvent(new Event("error"));
    this.#close(1006, error instanceof Error ? error.message : String(error));
  }

  /** @param {number} code @param {string} reason */
  #close(code, reason) {
    this.readyState = 3;
    this.dispatchEvent(new CloseEvent("close", { code, reason, wasClean: code !== 1006 }));
  }
}

/** A copy. @param {string | ArrayBufferLike | ArrayBufferView} data */
function bytesOf(data) {
  if (ArrayBuffer.isView(data)) {
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
  }
  if (typeof data === "object") return new Uint8Array(data).slice();
  return encoder.encode(data);
}
