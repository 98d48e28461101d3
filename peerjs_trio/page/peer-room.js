// Rooms, for web pages: peers of one network find each other at a PeerServer with rooms, ours or one
// like ambianic-pnp. The calls are in docs/rooms.md.
//
//   const room = peerRoom(peer);  // a Peer of peerjs.js, open
//   for await (const { type, peer: id } of room.watch()) {
//     if (type === "joined") show(id); else hide(id);
//   }

const PATIENCE = 10_000; // milliseconds for an answer
const LONGEST = 30; // seconds, the longest wait behind errors
const MOST = 256 * 1024; // bytes of an answer: 1,000 members by UUIDs are 39,000
const ID = /^[A-Za-z0-9]+(?:[ _-][A-Za-z0-9]+)*$/;

/**
 * What peerjs.js 1.5 has of a Peer, and we need.
 * @typedef {object} Peer
 * @property {string | null} id
 * @property {boolean} open
 * @property {boolean} destroyed
 * @property {{ host?: string, port?: number, path?: string, key?: string, secure?: boolean,
 *   token?: string }} options
 * @property {(event: any, listener: () => void) => unknown} on
 * @property {(event: any, listener: () => void) => unknown} off
 *
 * @typedef {{ type: "joined" | "left", peer: string }} Change
 *
 * @typedef {object} Options
 * @property {string} [name] of a room, where the server has named ones; else that of our network
 * @property {number} [interval] seconds between questions, 3 if not given
 */

/** Why a room cannot be had; `final` says that asking again is of no use. */
export class RoomError extends Error {
  name = "RoomError";

  /** @param {string} message @param {boolean} final */
  constructor(message, final) {
    super(message);
    this.final = final;
  }
}

/**
 * The room that this peer would be in. Nothing is asked yet.
 * @param {Peer} peer @param {Options} [options]
 */
export function peerRoom(peer, options = {}) {
  return new PeerRoom(peer, options);
}

/** Membership ends with the peer's socket; until `leave` it is joined again after a reconnect. */
export class PeerRoom {
  #peer;
  #name;
  #interval;
  #wanted = false; // whether somebody has asked to be in it
  #joined = false; // in this registration of the peer's
  #left = new AbortController(); // aborted while we are not to be in it
  /** @type {string | null} */ #id;

  /** @param {Peer} peer @param {Options} options */
  constructor(peer, { name, interval = 3 }) {
    if (name === "" || name === "." || name === "..") throw new TypeError("that is no room's name");
    if (!(interval > 0)) throw new RangeError("an interval is in seconds, and more than none");
    this.#peer = peer;
    this.#name = name;
    this.#id = name ?? null;
    this.#interval = interval;
    peer.on("disconnected", () => (this.#joined = false));
    peer.on("open", () => this.#again());
  }

  /** Its name, or what the server calls that of our network; null until it has said so. */
  get id() {
    return this.#id;
  }

  /**
   * Comes in, so that others see us; the ids of all who are in it, ours included.
   *
   * Throws RoomError, as all of these do: without a server, or where it has no rooms, or lets us
   * into none.
   * @returns {Promise<string[]>}
   */
  async join() {
    if (this.#left.signal.aborted) this.#left = new AbortController();
    return this.#join(AbortSignal.timeout(PATIENCE));
  }

  /**
   * The ids of all who are in it, ours included. Joins it where we have not.
   * @returns {Promise<string[]>}
   */
  async members() {
    return this.#joined ? this.#members(AbortSignal.timeout(PATIENCE)) : this.join();
  }

  /**
   * Goes out of it, which ends every `watch`; whether we were in it.
   * @returns {Promise<boolean>}
   */
  async leave() {
    this.#left.abort();
    this.#wanted = this.#joined = false;
    if (this.#id === null) return false;
    const { wasInRoom } = await this.#ask("POST", AbortSignal.timeout(PATIENCE), this.#id, "leave");
    return wasInRoom === true;
  }

  /**
   * Who comes and goes: first everybody who is there, then each change. We ourselves are left out.
   *
   * Joins the room where we have not. While the server is lost, or answers with an error that may
   * pass, nothing is told; after that, what is different. Ends when we leave the room or the peer
   * is destroyed. Throws a RoomError that is final.
   * @returns {AsyncGenerator<Change, void, void>}
   */
  async *watch() {
    if (this.#left.signal.aborted) return;
    const left = this.#left.signal;
    /** @type {Set<string>} */ let known = new Set();
    for (let failures = 0; await this.#registered(left); ) {
      /** @type {string[]} */ let members;
      try {
        const patience = AbortSignal.any([left, AbortSignal.timeout(PATIENCE)]);
        members = await (this.#joined ? this.#members(patience) : this.#join(patience));
      } catch (error) {
        if (left.aborted) return;
        if (!(error instanceof RoomError) || error.final) throw error;
        await pause(this.#wait(failures++), left);
        continue;
      }
      failures = 0;
      const there = new Set(members);
      there.delete(this.#peer.id ?? "");
      const changes = [
        ...[...known].filter((id) => !there.has(id)).map((id) => change("left", id)),
        ...[...there].filter((id) => !known.has(id)).map((id) => change("joined", id)),
      ];
      known = there;
      yield* changes;
      await pause(this.#interval, left);
    }
  }

  // --- inside ---------------------------------------------------------------------------------

  /** After a reconnect, whether or not somebody watches. */
  async #again() {
    const left = this.#left.signal;
    for (let failures = 0; this.#wanted && !this.#joined && !left.aborted; failures++) {
      try {
        await this.#join(AbortSignal.any([left, AbortSignal.timeout(PATIENCE)]));
      } catch (error) {
        if (!this.#peer.open || !(error instanceof RoomError) || error.final) return;
        await pause(this.#wait(failures), left);
      }
    }
  }

  /** @param {AbortSignal} signal @returns {Promise<string[]>} */
  async #join(signal) {
    this.#wanted = true;
    const before = this.#id;
    const id = this.#name ?? roomIn(await this.#ask("GET", signal, "id"));
    const answer = await this.#ask("POST", signal, id, "join");
    this.#id = id;
    this.#joined = true;
    // To another network the server may have known us still, and left us in the room of the first.
    if (before !== null && before !== id) {
      await this.#ask("POST", signal, before, "leave").catch(() => {});
    }
    return idsIn(answer?.clientsIds);
  }

  /** @param {AbortSignal} signal @returns {Promise<string[]>} */
  async #members(signal) {
    const members = idsIn(await this.#ask("GET", signal, this.#id ?? "", "members"));
    // Without us it is one that the server has forgotten.
    return members.includes(this.#peer.id ?? "") ? members : this.#join(signal);
  }

  /** @param {"GET" | "POST"} method @param {AbortSignal} signal @param {string[]} call */
  async #ask(method, signal, ...call) {
    const { id, open, options } = this.#peer;
    if (!open || id === null) throw new RoomError("the peer has no connection to its server", false);
    const { secure, host, port, path = "/", key = "peerjs", token = "" } = options;
    const segments = [key, id, token, "room", ...call].map(encodeURIComponent).join("/");
    const url = `${secure ? "https" : "http"}://${host}:${port}${path}${segments}`;
    let status, text;
    try {
      // The address bears the token: it is for no log, and no Referer.
      const response = await fetch(url, {
        method, signal, cache: "no-store", credentials: "omit", referrerPolicy: "no-referrer",
      });
      status = response.status;
      text = status === 200 ? await textOf(response) : "";
    } catch (error) {
      if (error instanceof RoomError) throw error;
      throw new RoomError("the server cannot be asked about rooms", false);
    }
    if (status !== 200) throw refusal(status);
    try {
      return JSON.parse(text);
    } catch {
      throw new RoomError("the server's answer about a room is no JSON", false);
    }
  }

  /**
   * Waits until the peer is; false if it never will be, or we have left.
   * @param {AbortSignal} left @returns {Promise<boolean>}
   */
  #registered(left) {
    const peer = this.#peer;
    return new Promise((resolve) => {
      const look = () => {
        const over = peer.destroyed || left.aborted;
        if (!over && !peer.open) return;
        for (const event of ["open", "close"]) peer.off(event, look);
        left.removeEventListener("abort", look);
        resolve(!over);
      };
      for (const event of ["open", "close"]) peer.on(event, look);
      left.addEventListener("abort", look);
      look();
    });
  }

  /** @param {number} failures before this one @returns {number} */
  #wait(failures) {
    return this.#interval + Math.random() * Math.min(LONGEST, this.#interval * 2 ** failures);
  }
}

/** @param {Change["type"]} type @param {string} peer @returns {Change} */
function change(type, peer) {
  return { type, peer };
}

/** @param {any} answer @returns {string} */
function roomIn(answer) {
  const id = answer?.roomId;
  if (typeof id !== "string" || id === "" || id.length > 200) {
    throw new RoomError("the server's answer names no room", false);
  }
  return id;
}

/** @param {unknown} answer @returns {string[]} */
function idsIn(answer) {
  if (!Array.isArray(answer)) throw new RoomError("the server's answer is no list of ids", false);
  // Other servers register clients by any id; such a one cannot be dialled.
  return [...new Set(answer.filter((id) => typeof id === "string" && ID.test(id)))];
}

/** @param {number} status @returns {RoomError} */
function refusal(status) {
  switch (status) {
    case 401:
      return new RoomError("rooms are for who is registered, and the server does not know us", false);
    case 403:
      return new RoomError("the server does not let us into the room, or it is full", true);
    case 404:
    case 405:
      return new RoomError("this server has no rooms: peerjs serve --rooms", true);
  }
  const passes = status >= 500 || status === 408 || status === 429;
  return new RoomError(`asked about a room, the server answered with status ${status}`, !passes);
}

/** @param {Response} response @returns {Promise<string>} */
async function textOf(response) {
  const decoder = new TextDecoder();
  let size = 0, text = "";
  for (const reader = response.body?.getReader(); reader; ) {
    const { done, value } = await reader.read();
    if (done) break;
    if ((size += value.length) > MOST) {
      await reader.cancel();
      throw new RoomError(`the server's answer has more than ${MOST} bytes`, false);
    }
    text += decoder.decode(value, { stream: true });
  }
  return text + decoder.decode();
}

/** @param {number} seconds @param {AbortSignal} signal @returns {Promise<void>} */
function pause(seconds, signal) {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, seconds * 1000);
    signal.addEventListener("abort", done);
  });
}
