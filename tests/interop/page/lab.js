// One peerjs.js Peer, driven from Python (../lab.py) by calls that return promises.
//
// Nothing that happens is missed between two calls: every listener is attached the moment its
// object exists, and what it hears waits in a queue.

import { MsgPack } from "/npm/peerjs/dist/serializer.msgpack.mjs";
import { Heard } from "./heard.js";
import { Reversed } from "./reversed.js";
import { decode, digest, encode, make, numbered } from "./values.js";

const { Peer } = window.peerjs ?? window; // 2.0 beta has no name around it

// Chromium, when called, now and then loses what it sends in the very moment of `open`.
const SETTLE_MS = 150;

class Queue {
  #items = [];
  #waiting = [];
  #ended = false;

  put(item) {
    this.#items.push(item);
    this.#serve();
  }

  // Whoever waits, now or later, gets what is left and then undefined.
  end() {
    this.#ended = true;
    this.#serve();
  }

  get() {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#serve();
    });
  }

  #serve() {
    while (this.#waiting.length > 0 && (this.#items.length > 0 || this.#ended)) {
      const next = this.#items.length > 0 ? { item: this.#items.shift() } : undefined;
      this.#waiting.shift()(next);
    }
  }
}

// A data connection, and all that was heard of it.
class Line {
  inbox = new Queue();

  constructor(conn, { called }) {
    this.conn = conn;
    this.handle = lines.push(this) - 1;
    this.opened = new Promise((resolve) => conn.on("open", resolve));
    this.settled = called ? this.opened.then(() => sleep(SETTLE_MS)) : this.opened;
    this.closed = new Promise((resolve) => conn.on("close", resolve));
    this.closed.then(() => this.inbox.end());
    conn.on("data", (value) => this.inbox.put(value));
    conn.on("error", (error) => note(error, this.handle));
    heard.listen(conn, this.handle, ["open", "close", "error", "iceStateChanged"]);
  }

  describe() {
    const { peer, label, metadata, serialization, reliable, connectionId } = this.conn;
    const { handle } = this;
    return { handle, peer, label, metadata: encode(metadata), serialization, reliable, connectionId };
  }

  // peerjs.js reports a value it will not send by an event, from inside send().
  async send(value) {
    await this.settled;
    const before = errors.length;
    await this.conn.send(value);
    const refused = errors.slice(before).find(({ handle }) => handle === this.handle);
    if (refused) throw refused;
  }
}

const lines = [];
const incoming = new Queue();
const errors = [];
const heard = new Heard();
const dials = new Set();
let peer = null;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function note({ type, message }, handle = null) {
  errors.push({ type, message, handle });
}

function onPeerError(error) {
  note(error);
  for (const dial of dials) {
    // The only way to know whose offer expired: the error bears no connection.
    const other = error.type === "peer-unavailable" && !error.message.endsWith(` ${dial.remote}`);
    if (!other) dial.reject(error);
  }
}

const lab = {
  // --- the peer -----------------------------------------------------------------------------

  // Returns at once; `heard` tells what comes of it.
  start(id, options) {
    const config = { iceServers: [] }; // the default asks servers on the Internet
    const all = { config, serializers: { MsgPack, reversed: Reversed }, ...options };
    peer = id === null ? new Peer(all) : new Peer(id, all);
    peer.on("error", onPeerError);
    peer.on("connection", (conn) => {
      const line = new Line(conn, { called: true });
      line.opened.then(() => incoming.put(line));
    });
    heard.listen(peer, null, ["open", "disconnected", "close", "error"]);
  },

  open(id, options) {
    lab.start(id, options);
    return new Promise((resolve, reject) => {
      peer.once("open", resolve);
      peer.once("error", reject);
    });
  },

  destroy: () => peer.destroy(),
  disconnect: () => peer.disconnect(),

  reconnect() {
    return new Promise((resolve, reject) => {
      peer.once("open", resolve);
      peer.once("error", reject);
      peer.reconnect();
    });
  },

  // What the Peer, or the connection with that handle, says next of this kind, or said since it
  // was last asked for: {what, detail}; null if there is nothing in so many seconds.
  heard: (handle, what, seconds) => heard.next(handle, what, seconds),

  // What went wrong so far: {type, message, handle}, handle null where it was the peer itself.
  errors: () => errors,

  // --- connections --------------------------------------------------------------------------

  // Dials without waiting; the handle.
  dial: (remote, options) => new Line(peer.connect(remote, options), { called: false }).handle,

  // Dials so many that are not there; how many times peerjs.js threw what.
  dialMany(count) {
    const thrown = {};
    for (let n = 0; n < count; n++) {
      try {
        peer.connect(`nobody-${n}`);
      } catch ({ message }) {
        thrown[message] = (thrown[message] ?? 0) + 1;
      }
    }
    return thrown;
  },

  async connect(remote, { metadata, ...options }) {
    const dial = { remote, ...Promise.withResolvers() };
    dials.add(dial);
    try {
      const conn = peer.connect(remote, { metadata: decode(metadata), ...options });
      if (conn) {
        const line = new Line(conn, { called: false });
        line.opened.then(() => dial.resolve(line));
        conn.on("error", dial.reject);
      } // else peerjs.js has said why, by an error event
      return (await dial.promise).describe();
    } finally {
      dials.delete(dial);
    }
  },

  async incoming() {
    const { item } = await incoming.get();
    return item.describe();
  },

  close: (handle, options) => lines[handle].conn.close(options),
  closed: (handle) => lines[handle].closed,
  isOpen: (handle) => lines[handle].conn.open,

  // --- values -------------------------------------------------------------------------------

  send: (handle, tagged) => lines[handle].send(decode(tagged)),
  sendMade: (handle, rule) => lines[handle].send(make(rule)),

  async receive(handle) {
    const next = await lines[handle].inbox.get();
    return next ? { value: encode(next.item) } : { closed: true };
  },

  async receiveDigest(handle) {
    const next = await lines[handle].inbox.get();
    return next ? { digest: await digest(next.item) } : { closed: true };
  },

  async burst(handle, count, kind) {
    for (let n = 0; n < count; n++) await lines[handle].send(numbered(kind, n));
  },

  // Receives `count` numbered messages, or as many as come before the end.
  async collect(handle, count, kind) {
    const expected = new Map();
    const key = (value) => JSON.stringify(encode(value));
    for (let n = 0; n < count; n++) expected.set(key(numbered(kind, n)), n);

    const summary = { received: 0, distinct: 0, strangers: [], inOrder: true };
    const seen = new Set();
    while (summary.received < count) {
      const next = await lines[handle].inbox.get();
      if (!next) break;
      const n = expected.get(key(next.item));
      if (n === undefined) summary.strangers.push(key(next.item));
      if (n !== summary.received) summary.inOrder = false;
      seen.add(n);
      summary.received++;
    }
    summary.distinct = seen.size;
    return summary;
  },
};

window.lab = lab;
