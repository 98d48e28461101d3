// One connection: its frames, the streams that share it, its beginning and its end.

import {
  CLOSING, DATA, END, FRAME, GOAWAY, GOAWAYS, HEAD, HELLO, MESSAGE, MORE, NOTHING, OVERLOAD,
  PROTOCOL, REQUEST, RESPONSE, TEXT, VERSION, WINDOW, Violation,
  coded, decodeHello, decoded, encoder, failure, joined, numberAt, word,
} from "./peer-frames.js";
import { fingerprints } from "./peer-proofs.js";
import { Signal } from "./peer-stream.js";

/**
 * What is used of peerjs.js's DataConnection.
 * @typedef {object} DataConnection
 * @property {string} label
 * @property {string} serialization
 * @property {boolean} open
 * @property {RTCDataChannel | null} dataChannel
 * @property {RTCPeerConnection | null} peerConnection
 * @property {(event: any, listener: (value?: any) => void) => unknown} on
 * @property {(data: any) => unknown} send
 * @property {() => void} close
 *
 * Where one shows who one is: the text messages before the first frame.
 * @typedef {object} AuthenticationChannel
 * @property {() => Promise<string>} receive
 * @property {(text: string) => void} send
 * @property {{ local: string[], remote: string[] }} fingerprints
 *   Of both certificates: "sha-256 AB:CD:…", sorted.
 *
 * @typedef {object} Options
 * @property {(channel: AuthenticationChannel) => Promise<unknown>} [authenticate]
 *   Called where the server wants to know who this is; peer-pair.js makes such functions.
 * @property {number} [timeout] Milliseconds until the connection must be ready: 30,000.
 *
 * @typedef {import("./peer-frames.js").Cause} Cause
 * @typedef {import("./peer-stream.js").Stream} Stream
 */

const ROOM = 524_288; // bytes in the channel above which no more is put in
const UNREAD = 4_194_304; // bytes there at which the server is given up: it asks and does not read
const TEXTS = 16; // messages of authentication that wait to be read
const STREAMS = 2 ** 32; // no more on one connection
const FAREWELL = 2000; // milliseconds to close in

/** A connection to a server. */
export class Session {
  /** @type {PromiseWithResolvers<{ agent: string }>} */
  opened = Promise.withResolvers();
  /** @type {PromiseWithResolvers<Cause>} */
  closed = Promise.withResolvers();
  frame = FRAME; // bytes of the largest that may be sent
  message = MESSAGE;

  #conn;
  #options;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {ReturnType<typeof decodeHello> | null} */
  #hello = null; // the server's
  #greeted = false; // ours is sent
  /** @type {string[] | null} */
  #texts = null; // of an authentication that is going on
  #told = new Signal();
  /** @type {Map<number, Stream>} */
  #streams = new Map();
  /** @type {Set<Stream>} */
  #waiting = new Set(); // for a place
  #next = 1;
  /** @type {TypeError | null} */
  #leaving = null; // why no new requests are taken
  /** @type {TypeError | null} */
  #ended = null;

  /** @param {DataConnection} conn @param {Options} options */
  constructor(conn, options) {
    const { label, serialization, dataChannel: channel } = conn ?? {};
    if (label !== "peerjs-http" || serialization !== "raw" || channel?.ordered === false) {
      throw new TypeError(
        "peerFetch needs peerjs 1.5 or newer, and a connection made with " +
          '{ label: "peerjs-http", serialization: "raw", reliable: true }',
      );
    }
    this.#conn = conn;
    this.#options = options;
    this.opened.promise.catch(() => {});
    this.#await();
    if (channel) {
      channel.binaryType = "arraybuffer";
      channel.bufferedAmountLowThreshold = ROOM / 2;
      channel.addEventListener("bufferedamountlow", () => this.#roomMade());
    }
    let trouble = "";
    conn.on("data", (data) => this.#receive(data));
    conn.on("error", (error) => {
      trouble = error.message;
      if (!conn.open) this.#end(failure("LOST", `no connection: ${trouble}`));
    });
    conn.on("close", () => {
      this.#end(failure("LOST", trouble || "the connection to the peer was closed"));
    });
    if (!channel) this.#end(failure("LOST", "the connection to the peer is closed"));
  }

  get hasRoom() {
    return (this.#conn.dataChannel?.bufferedAmount ?? 0) < ROOM;
  }

  /**
   * A frame, at once. @param {number} type @param {number} stream
   * @param {number[]} fixed @param {Uint8Array} [rest]
   */
  send(type, stream, fixed, rest = NOTHING) {
    if (this.#ended) return;
    const bytes = Uint8Array.from([type, ...word(stream), ...fixed]);
    this.#conn.send(rest.length ? joined([bytes, rest], bytes.length + rest.length) : bytes);
    if ((this.#conn.dataChannel?.bufferedAmount ?? 0) > UNREAD) {
      this.#fail(OVERLOAD, "read what you ask for");
    }
  }

  /** A request is to be sent. @param {Stream} stream */
  enqueue(stream) {
    const over = this.#ended ?? this.#leaving;
    this.#waiting.add(stream);
    // Not at once: its maker is not done with it yet.
    queueMicrotask(() => (over ? stream.end(over) : this.#admit()));
  }

  /** @param {Stream} stream */
  forget(stream) {
    this.#waiting.delete(stream);
    this.#streams.delete(stream.number);
    queueMicrotask(() => this.#admit());
  }

  /** Close the connection. What is under way breaks off. */
  leave() {
    this.#fail(CLOSING, "", failure("CLOSED", "this page has closed the connection"));
    return this.closed.promise;
  }

  #roomMade() {
    this.#admit();
    for (const stream of this.#streams.values()) stream.wake();
  }

  /** Send requests that wait, as far as the server takes them. */
  #admit() {
    if (!this.#hello || !this.#greeted || this.#ended) return;
    for (const stream of this.#waiting) {
      if (this.#streams.size >= this.#hello.streams || !this.hasRoom) return;
      this.#waiting.delete(stream);
      const { length } = stream.head;
      if (length > HEAD || length + 6 > this.frame || this.#next === STREAMS) {
        const used = this.#next === STREAMS;
        stream.end(
          used ? failure("CLOSED", "the connection has no numbers left: dial again")
          : failure("TOO_LARGE", `a head of ${length} bytes is more than the server takes`),
        );
        continue;
      }
      const number = this.#next++;
      this.#streams.set(number, stream);
      this.send(REQUEST, number, [stream.flags], stream.head);
      stream.begin(number, this.#hello.window);
    }
  }

  /** @param {unknown} data */
  #receive(data) {
    if (this.#ended) return;
    try {
      if (typeof data === "string") this.#receiveText(data);
      else if (data instanceof ArrayBuffer) this.#receiveFrame(new Uint8Array(data));
      else throw new Violation("a message that is no bytes");
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      this.#fail(PROTOCOL, error.message);
    }
  }

  /** @param {Uint8Array<ArrayBuffer>} bytes */
  #receiveFrame(bytes) {
    if (bytes.length > FRAME) throw new Violation("a frame of more than 65,536 bytes");
    if (bytes.length < 5) throw new Violation("a frame of less than five bytes");
    const type = bytes[0] ?? 0, number = numberAt(bytes, 1);
    if (type > GOAWAY) return; // of a later version
    if ((number === 0) !== (type === HELLO || type === GOAWAY) || type === REQUEST) {
      throw new Violation(`a frame of type ${type} for stream ${number}`);
    }
    if (type === HELLO) return this.#receiveHello(bytes.subarray(5));
    if (type === GOAWAY) return this.#receiveGoAway(decoded(bytes.subarray(5)));
    if (number >= this.#next) throw new Violation("a frame for a stream that never was");
    const flagged = type === RESPONSE || type === DATA;
    const flags = flagged ? bytes[5] ?? 255 : 0;
    if (flags & ~(type === DATA ? END | TEXT | MORE : END)) throw new Violation("unknown flags");
    this.#streams.get(number)?.receive(type, flags, bytes.subarray(flagged ? 6 : 5));
  }

  /** @param {Uint8Array} payload */
  #receiveHello(payload) {
    if (this.#hello) throw new Violation("a second HELLO");
    const hello = decodeHello(payload);
    if (!hello.versions.includes(1)) return this.#fail(VERSION, "this side speaks version 1");
    clearTimeout(this.#timer);
    this.#hello = hello;
    this.#told.set();
    const { sctp } = this.#conn.peerConnection ?? {};
    this.frame = Math.min(hello.frame, FRAME, sctp?.maxMessageSize || FRAME);
    this.message = hello.message;
    if (!this.#texts) this.#greet();
    this.#ready();
  }

  /** @param {{ code: number, reason: string }} told */
  #receiveGoAway({ code, reason }) {
    const name = GOAWAYS[code] ?? String(code);
    const error = failure(name, `the server is closing the connection: ${reason || name}`, reason);
    this.#leaving ??= error;
    if (code !== CLOSING) {
      this.#end(error);
      this.#conn.close();
    }
    for (const stream of [...this.#waiting]) stream.end(error);
  }

  // --- who one is ---

  /** @param {string} text */
  #receiveText(text) {
    if (this.#hello || this.#greeted) throw new Violation("a text message among the frames");
    if ((this.#texts?.length ?? 0) >= TEXTS || text.length > FRAME) {
      throw new Violation("more messages of authentication than anybody reads");
    }
    if (this.#texts) this.#texts.push(text);
    else this.#prove([text]);
    this.#told.set();
  }

  /** @param {string[]} texts */
  async #prove(texts) {
    clearTimeout(this.#timer);
    this.#texts = texts;
    const { authenticate } = this.#options;
    const pc = this.#conn.peerConnection;
    try {
      if (!authenticate) throw new Error("give peerFetch the option authenticate");
      await authenticate({
        receive: () => this.#nextText(texts),
        send: (text) => void (this.#ended || this.#conn.send(text)),
        fingerprints: {
          local: fingerprints(pc?.localDescription),
          remote: fingerprints(pc?.remoteDescription),
        },
      });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#end(failure("UNAUTHORIZED", `the server asks who this is: ${reason}`, reason, error));
      this.#conn.close();
      return;
    }
    if (!this.#hello) this.#await();
    this.#greet();
  }

  /** @param {string[]} texts */
  async #nextText(texts) {
    for (;;) {
      const text = texts.shift();
      if (text !== undefined) return text;
      if (this.#ended) throw this.#ended;
      if (this.#hello) throw new TypeError("the server has nothing more to say about it");
      await this.#told.wait();
    }
  }

  #greet() {
    if (this.#greeted || this.#ended) return;
    const hello = { versions: [1], window: WINDOW, frame: FRAME, message: MESSAGE };
    this.send(HELLO, 0, [], encoder.encode(JSON.stringify({ ...hello, agent: "peer-fetch.js" })));
    this.#greeted = true;
    this.#texts = null;
    this.#ready();
  }

  #ready() {
    if (!this.#greeted || !this.#hello) return;
    this.opened.resolve({ agent: this.#hello.agent });
    this.#admit();
  }

  // --- the end ---

  #await() {
    const ms = this.#options.timeout ?? 30_000;
    this.#timer = setTimeout(() => {
      this.#end(failure("TIMEOUT", `the server did not say HELLO within ${ms} ms`));
      this.#conn.close();
    }, ms);
  }

  /** Say why, and close. @param {number} code @param {string} reason @param {TypeError} [error] */
  #fail(code, reason, error = failure(GOAWAYS[code] ?? "", `the server broke a rule: ${reason}`)) {
    if (this.#ended) return;
    this.#end(error);
    const conn = this.#conn;
    if (conn.open) conn.send(Uint8Array.of(GOAWAY, 0, 0, 0, 0, ...coded(code, reason)));
    // A channel that is closed still sends what it has; a connection that is closed does not.
    conn.dataChannel?.close();
    setTimeout(() => conn.close(), FAREWELL);
  }

  /** All is over. @param {TypeError} error */
  #end(error) {
    if (this.#ended) return;
    this.#ended = error;
    clearTimeout(this.#timer);
    this.#told.set();
    this.opened.reject(error);
    for (const stream of [...this.#streams.values(), ...this.#waiting]) stream.end(error);
    const { code, reason } = /** @type {Cause} */ (error.cause);
    this.closed.resolve({ code, reason });
  }
}
