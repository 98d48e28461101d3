// HTTP over WebRTC from a web page: fetch, WebSocket and server-sent events, over one data
// connection of peerjs.js. The protocol is docs/http-over-webrtc.md, how to use it docs/page.md.
//
//   const conn = peer.connect(id, { label: "peerjs-http", serialization: "raw", reliable: true });
//   const fetch = peerFetch(conn);
//   const readings = await (await fetch("/readings")).json();

import { CANCELLED, COST, END, NOTHING, Violation, codeOf, failure } from "./peer-frames.js";
import { Session } from "./peer-session.js";
import { Signal, Stream } from "./peer-stream.js";
import { BASE, PeerWebSocket } from "./peer-websocket.js";

export { events } from "./peer-events.js";

/**
 * @typedef {import("./peer-frames.js").Cause} Cause
 * @typedef {import("./peer-frames.js").Head} Head
 * @typedef {import("./peer-frames.js").RequestHead} RequestHead
 * @typedef {import("./peer-session.js").DataConnection} DataConnection
 * @typedef {import("./peer-session.js").Options} Options
 * @typedef {import("./peer-stream.js").Sink} Sink
 *
 * @typedef {typeof globalThis.fetch & {
 *   WebSocket: new (url: string | URL, protocols?: string | string[]) => PeerWebSocket,
 *   opened: Promise<{ agent: string }>,
 *   closed: Promise<Cause>,
 *   close: () => Promise<Cause>,
 * }} PeerFetch
 */

const TRIES = 8; // of a request that the server refuses unseen
const REDIRECTS = 20; // as fetch has it
const ORIGIN = new URL(BASE).origin;

const NO_BODY = new Set([101, 204, 205, 304]);
const REDIRECTING = new Set([301, 302, 303, 307, 308]);
const ABOUT_THE_BODY = ["encoding", "language", "length", "location", "type"];

/**
 * A function like the browser's fetch, over this connection. Call it before the connection opens.
 *
 * Throws TypeError for a connection that was opened with other options than the protocol's.
 * @param {DataConnection} conn
 * @param {Options} [options]
 * @returns {PeerFetch}
 */
export function peerFetch(conn, options = {}) {
  const session = new Session(conn, options);
  return Object.assign(
    /** @type {typeof globalThis.fetch} */ ((input, init) => request(session, input, init)),
    {
      WebSocket: class extends PeerWebSocket {
        /** @param {string | URL} url @param {string | string[]} [protocols] */
        constructor(url, protocols = []) {
          super(session, url, protocols);
        }
      },
      opened: session.opened.promise,
      closed: session.closed.promise,
      close: () => session.leave(),
    },
  );
}

/**
 * @param {Session} session @param {RequestInfo | URL} input @param {RequestInit} [init]
 * @returns {Promise<Response>}
 */
async function request(session, input, init = {}) {
  const given = input instanceof Request ? input : undefined;
  const signal = init.signal === undefined ? given?.signal : init.signal;
  signal?.throwIfAborted();
  const { asked, body: first } = await prepare(given ?? new URL(String(input), BASE), init);
  let url = new URL(asked.url), method = asked.method, body = first;
  if (!/^https?:$/.test(url.protocol)) throw new TypeError(`not a URL of HTTP: ${url.protocol}`);
  const headers = new Headers(asked.headers); // without the guard that keeps content-length out
  if (!headers.has("accept")) headers.set("accept", "*/*");
  if (body instanceof Blob) headers.set("content-length", String(body.size));
  else if (!body && /^(POST|PUT)$/.test(method)) headers.set("content-length", "0");

  for (let redirects = 0; ; redirects++) {
    const head = { method, path: url.pathname + url.search, headers: [...headers] };
    const exchange = await ask(session, head, body, signal);
    const { status, headers: told } = await exchange.head.promise;
    const location = REDIRECTING.has(status) ? told.get("location") : null;
    if (location === null || asked.redirect === "manual") {
      return respond(exchange, method, url, redirects > 0);
    }
    exchange.stream.reset(CANCELLED);
    const next = new URL(location, url);
    const trouble =
      asked.redirect === "error" ? "a redirect, where the request allows none"
      : redirects === REDIRECTS ? "more than 20 redirects"
      : ![url.origin, ORIGIN].includes(next.origin) ? `a redirect to elsewhere: ${next.origin}`
      : "";
    if (trouble) throw failure("REDIRECT", trouble);
    if (status === 303 ? !/^(GET|HEAD)$/.test(method) : status < 303 && method === "POST") {
      [method, body] = ["GET", null];
      for (const name of ABOUT_THE_BODY) headers.delete(`content-${name}`);
    }
    if (body && !(body instanceof Blob)) {
      throw failure("REDIRECT", "a redirect of a body that can be read only once");
    }
    url = next;
  }
}

/**
 * What a real Request makes of it. A body is a Blob where it can be sent again.
 * @param {Request | URL} input @param {RequestInit} init
 * @returns {Promise<{ asked: Request, body: Blob | ReadableStream<Uint8Array> | null }>}
 */
async function prepare(input, init) {
  // Not every browser's Request takes or shows a stream, so ours has an empty body in its place.
  const streamed = init.body instanceof ReadableStream ? init.body : null;
  const asked = new Request(input, streamed ? { ...init, body: NOTHING } : init);
  if (streamed) {
    if (streamed.locked) throw new TypeError("the stream of the body is locked");
    return { asked, body: streamed };
  }
  if (init.body instanceof Blob) return { asked, body: init.body };
  if (init.body == null && (!(input instanceof Request) || asked.body === null)) {
    return { asked, body: null };
  }
  if (init.body == null && asked.body) return { asked, body: asked.body };
  const whole = await asked.blob();
  return { asked, body: whole.size ? whole : null };
}

/**
 * Ask, and again where the server has not looked at it.
 * @param {Session} session @param {RequestHead} head
 * @param {Blob | ReadableStream<Uint8Array> | null} body @param {AbortSignal | null} [signal]
 */
async function ask(session, head, body, signal) {
  for (let tries = 1; ; tries++) {
    signal?.throwIfAborted();
    const exchange = new Exchange(session, head, !body, signal);
    if (body) upload(exchange.stream, body instanceof Blob ? body.stream() : body);
    try {
      await exchange.head.promise;
      return exchange;
    } catch (error) {
      const again = codeOf(error) === "REFUSED" && !(body instanceof ReadableStream);
      if (!again || tries === TRIES) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50 * 2 ** tries));
  }
}

/** @param {Stream} stream @param {ReadableStream<Uint8Array>} body */
async function upload(stream, body) {
  const reader = body.getReader();
  stream.over.addEventListener("abort", () => reader.cancel(stream.over.reason).catch(() => {}));
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (stream.over.aborted) return;
      if (done) break;
      if (!(value instanceof Uint8Array)) throw new TypeError("a body's chunk is no Uint8Array");
      if (value.length) await stream.write(value);
    }
    await stream.write(NOTHING, END);
  } catch (error) {
    stream.reset(CANCELLED, failure("BODY", `the body broke off: ${error}`));
  }
}

/**
 * @param {Exchange} exchange @param {string} method @param {URL} url @param {boolean} redirected
 */
async function respond(exchange, method, url, redirected) {
  const { status, headers } = await exchange.head.promise;
  let body = null;
  if (method === "HEAD" || NO_BODY.has(status)) exchange.drain();
  else {
    const source = {
      /** @param {ReadableStreamDefaultController} controller */
      async pull(controller) {
        const part = await exchange.read();
        if (part) controller.enqueue(part);
        else controller.close();
      },
      cancel: () => exchange.stream.reset(CANCELLED),
    };
    // Nothing is read ahead: what a page does not read stays with the server.
    body = new ReadableStream(source, { highWaterMark: 0 });
    abandoned.register(source, exchange.stream);
  }
  url.hash = "";
  return new PeerResponse(body, { status, headers }, { exchange, url: url.href, redirected });
}

// A page often looks at the status alone: what it has forgotten must not hold a place for ever.
// Not the stream itself is watched, but what it reads from: a reader keeps that alive, and no more.
const abandoned = new FinalizationRegistry(
  /** @param {Stream} stream */ (stream) => stream.whole || stream.reset(CANCELLED),
);

/** A Response that knows where it is from, and why its body broke off. */
class PeerResponse extends Response {
  #facts;

  /**
   * @param {ReadableStream | null} body @param {ResponseInit} init
   * @param {{ exchange: Exchange, url: string, redirected: boolean }} facts
   */
  constructor(body, init, facts) {
    super(body, init);
    this.#facts = facts;
  }

  get url() {
    return this.#facts.url;
  }

  get redirected() {
    return this.#facts.redirected;
  }

  clone() {
    const { body, status, headers } = super.clone();
    return new PeerResponse(body, { status, headers }, this.#facts);
  }

  arrayBuffer() {
    return this.#read(super.arrayBuffer());
  }

  blob() {
    return this.#read(super.blob());
  }

  bytes() {
    return this.#read(super.bytes());
  }

  formData() {
    return this.#read(super.formData());
  }

  json() {
    return this.#read(super.json());
  }

  text() {
    return this.#read(super.text());
  }

  /**
   * Browsers have one error for all that befalls a stream.
   * @template T @param {Promise<T>} value
   */
  async #read(value) {
    try {
      return await value;
    } catch (error) {
      throw this.#facts.exchange.error ?? error;
    }
  }
}

/** A request that is under way, and its response. @implements {Sink} */
class Exchange {
  /** @type {PromiseWithResolvers<Head>} */
  head = Promise.withResolvers();
  #signal;
  /** @type {Uint8Array<ArrayBuffer>[]} */
  #parts = [];
  #whole = false;
  /** @type {unknown} */
  #broken;
  #arrived = new Signal();

  /**
   * @param {Session} session @param {RequestHead} head @param {boolean} end
   * @param {AbortSignal | null} [signal]
   */
  constructor(session, head, end, signal) {
    this.#signal = signal;
    this.head.promise.catch(() => {});
    this.stream = new Stream(session, head, this, end);
    signal?.addEventListener("abort", () => this.stream.reset(CANCELLED, signal.reason), {
      signal: this.stream.over,
    });
  }

  /** Why it broke off, or was given up. */
  get error() {
    return this.#signal?.aborted ? this.#signal.reason : this.#broken;
  }

  /** The next part of the body; undefined at its end. */
  async read() {
    for (;;) {
      this.#signal?.throwIfAborted(); // though all has come
      const part = this.#parts.shift();
      if (part) this.stream.consumed(part.length + COST);
      if (part || this.#whole) return part;
      if (this.#broken !== undefined) throw this.#broken;
      await this.#arrived.wait();
    }
  }

  /** Take what should not come. */
  async drain() {
    while (await this.read().catch(() => undefined));
  }

  /** @param {Head} head @param {boolean} whole */
  responded(head, whole) {
    this.#whole = whole;
    this.head.resolve(head);
  }

  /** @param {Uint8Array<ArrayBuffer>} bytes @param {number} flags */
  data(bytes, flags) {
    if (bytes.length) this.#parts.push(bytes);
    this.#whole = (flags & END) !== 0;
    this.#arrived.set();
  }

  closed() {
    throw new Violation("CLOSE for what is no WebSocket");
  }

  /** @param {unknown} error */
  ended(error) {
    this.#broken = error;
    this.head.reject(error);
    this.#arrived.set();
  }
}
