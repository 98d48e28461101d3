// One request of a connection: its number, its credit both ways, and its end.

import {
  CANCELLED, CLOSE, COST, CREDIT, DATA, DONE, END, INVALID, MORE, RESET, RESETS, RESPONSE, TEXT,
  WINDOW, Violation,
  coded, decodeHead, decoded, encoder, failure, numberAt, word,
} from "./peer-frames.js";

/**
 * Who takes what a stream receives. Nothing follows `closed` or `ended`.
 * @typedef {object} Sink
 * @property {(head: import("./peer-frames.js").Head, whole: boolean) => void} responded
 * @property {(bytes: Uint8Array<ArrayBuffer>, flags: number) => void} data
 * @property {(code: number, reason: string) => void} closed
 * @property {(error: unknown) => void} ended
 *
 * @typedef {import("./peer-frames.js").RequestHead} RequestHead
 * @typedef {import("./peer-session.js").Session} Session
 */

export class Stream {
  number = 0; // until there is a place for it
  whole = false; // whether END has come
  #session;
  #sink;
  #asked;
  #over = new AbortController();
  #sent; // whether END or CLOSE has been
  #responded = false;
  #accepted = false; // as a WebSocket
  #credit = 0; // what may be sent
  #left = WINDOW; // what the server may send
  #owed = 0; // of what was taken, what it has not been told of
  #sendable = new Signal();

  /**
   * @param {Session} session @param {RequestHead} head @param {Sink} sink
   * @param {boolean} end Whether it has no body.
   */
  constructor(session, head, sink, end) {
    this.head = encoder.encode(JSON.stringify(head));
    this.flags = end ? END : 0;
    this.#session = session;
    this.#sink = sink;
    this.#sent = end;
    this.#asked = head;
    session.enqueue(this);
  }

  /** Aborted when nothing is sent or received any more. */
  get over() {
    return this.#over.signal;
  }

  /** @param {number} number @param {number} credit */
  begin(number, credit) {
    this.number = number;
    this.#credit = credit;
    this.wake();
  }

  /** There may be room. */
  wake() {
    this.#sendable.set();
  }

  /**
   * Send all of it as the server gives credit and the channel has room; false where it is over.
   * @param {Uint8Array} bytes @param {number} [flags] Of the last frame.
   * @param {number} [before] Flags of those before it.
   */
  async write(bytes, flags = 0, before = 0) {
    let at = 0;
    do {
      const least = flags === END ? 0 : COST + Math.min(1, bytes.length - at);
      await null; // a turn for each frame, so that streams share the channel
      while (!this.#may(least) && !this.over.aborted) await this.#sendable.wait();
      if (this.over.aborted) return false;
      const room = Math.min(this.#session.frame - 6, this.#credit - COST);
      const part = bytes.subarray(at, at + Math.max(0, room));
      at += part.length;
      if (least) this.#credit -= COST + part.length;
      this.#send(DATA, [at < bytes.length ? before : flags], part);
    } while (at < bytes.length);
    if (flags === END) this.#finish(true);
    return true;
  }

  /** Close a WebSocket, behind what was written. @param {number} code @param {string} reason */
  close(code, reason) {
    if (this.over.aborted || this.#sent) return;
    this.#sent = true;
    this.#send(CLOSE, coded(code, reason));
  }

  /** The page has taken what cost this. @param {number} cost */
  consumed(cost) {
    this.#owed += cost;
    if (this.over.aborted || this.whole || this.#owed * 2 < WINDOW) return;
    this.#send(CREDIT, word(this.#owed));
    this.#left += this.#owed;
    this.#owed = 0;
  }

  /** Give it up. @param {number} code @param {unknown} [error] What whoever waits is told. */
  reset(code, error = failure(RESETS[code] ?? "", "the request was given up")) {
    if (this.over.aborted) return;
    // What goes on in the page is no business of the server's; what it did wrong is.
    const reason = code !== CANCELLED && error instanceof Error ? error.message : "";
    if (this.number) this.#send(RESET, coded(code, reason));
    this.end(error);
  }

  /** It is over. @param {unknown} [error] Undefined where nothing is missing. */
  end(error) {
    if (this.over.aborted) return;
    this.#over.abort(error);
    this.#session.forget(this);
    this.wake();
    if (error !== undefined) this.#sink.ended(error);
  }

  /** @param {number} type @param {number} flags @param {Uint8Array<ArrayBuffer>} payload */
  receive(type, flags, payload) {
    if (type === RESPONSE) this.#receiveResponse(flags, payload);
    else if (type === DATA) this.#receiveData(flags, payload);
    else if (type === CREDIT) {
      if (payload.length !== 4) throw new Violation("a CREDIT that is not of four bytes");
      this.#credit += numberAt(payload, 0);
      if (this.#credit >= 2 ** 32) throw new Violation("more credit than any window has");
      this.wake();
    } else if (type === RESET) {
      const { code, reason } = decoded(payload);
      const name = RESETS[code] ?? String(code);
      this.end(
        code === DONE && this.whole ? undefined
        : failure(name, `the server reset the request: ${reason || name}`, reason),
      );
    } else {
      const { code, reason } = decoded(payload);
      if (!this.#accepted) throw new Violation("CLOSE for what is no WebSocket");
      this.close(code, "");
      this.end();
      this.#sink.closed(code, reason);
    }
  }

  /** @param {number} flags @param {Uint8Array} payload */
  #receiveResponse(flags, payload) {
    if (this.#responded) throw new Violation("a second response");
    const head = decodeHead(payload);
    const { method, websocket } = this.#asked;
    if (typeof head === "number") return this.#refuse(head, "the response's head is none");
    const { status } = head;
    if (status === 101 && (flags || !websocket)) {
      return this.#refuse(INVALID, "101 begins a WebSocket where one was asked for");
    }
    if (!flags && (method === "HEAD" || status === 204 || status === 304)) {
      return this.#refuse(INVALID, "responses to HEAD, 204 and 304 have no body");
    }
    this.#responded = true;
    this.#accepted = status === 101;
    this.whole = flags === END;
    this.#sink.responded(head, this.whole);
    this.#finish(this.#sent || (websocket === true && !this.#accepted));
  }

  /** @param {number} code @param {string} why */
  #refuse(code, why) {
    this.reset(code, failure(RESETS[code] ?? "", why));
  }

  /** @param {number} flags @param {Uint8Array<ArrayBuffer>} payload */
  #receiveData(flags, payload) {
    if (!this.#responded || this.whole) throw new Violation("DATA where none can be");
    if (flags & (this.#accepted ? END : TEXT | MORE)) throw new Violation("flags of another kind");
    if (payload.length || this.#accepted) this.#left -= payload.length + COST;
    else if (!flags) throw new Violation("a part of a body without a byte in it");
    if (this.#left < 0) throw new Violation("more was sent than there was credit for");
    this.whole = (flags & END) !== 0;
    this.#sink.data(payload, flags);
    this.#finish(this.#sent);
  }

  /** One direction may have ended. @param {boolean} sent */
  #finish(sent) {
    this.#sent = sent;
    if (sent && this.whole) this.end();
  }

  /** @param {number} least */
  #may(least) {
    return this.number > 0 && this.#credit >= least && this.#session.hasRoom;
  }

  /** @param {number} type @param {number[]} fixed @param {Uint8Array} [rest] */
  #send(type, fixed, rest) {
    this.#session.send(type, this.number, fixed, rest);
  }
}

/** Wakes all who wait. */
export class Signal {
  /** @type {PromiseWithResolvers<void>} */
  #next = Promise.withResolvers();

  wait() {
    return this.#next.promise;
  }

  set() {
    this.#next.resolve();
    this.#next = Promise.withResolvers();
  }
}
