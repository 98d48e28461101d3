// Pairing for web pages: a device's code is typed once, and from then on both know each other.
// The protocol is docs/pairing.md, with what a page needs: @noble/hashes and @noble/curves, by an
// import map.
//
//   const store = pairingStore();
//   await pair(peer, id, code, store);
//   const conn = await connectToDevice(peer, store.pairs()[0], { label: "peerjs-http" });
//   const fetch = peerFetch(conn, { authenticate: withPairing(store) });

import { pake } from "./peer-pake.js";
import { equal, fingerprints, hex, joined, partsOf, proofs, random, unhex } from "./peer-proofs.js";

export { pairingStore } from "./peer-pair-store.js";

/**
 * @typedef {import("./peer-pair-store.js").Pair} Pair
 * @typedef {import("./peer-pair-store.js").PairingStore} PairingStore
 * @typedef {import("./peer-proofs.js").Channel} Channel
 * @typedef {import("./peer-session.js").AuthenticationChannel} AuthenticationChannel
 *
 * What a device tells strangers of itself. Nothing of it is proved.
 * @typedef {{ name: string, tag: string }} Device
 */

const LABEL = "peerjs-pair";
const VERSION = 1;
const PATIENCE = 10_000; // milliseconds for an answer
const OPENING = 30_000; // and for a connection
const EPOCH = 30 * 86_400; // seconds for which a device has the same id
const HEX = /^[0-9a-f]*$/;

/** Why somebody was not believed; nothing was stored, and the connection is closed. */
export class Unauthorized extends Error {
  name = "Unauthorized";
}

// --- first contact ---

/**
 * Those of these peers that offer pairing, and what they say of themselves. Who does not answer is
 * left out.
 * @param {any} peer @param {Iterable<string>} ids
 * @returns {Promise<Map<string, Device>>}
 */
export async function discover(peer, ids) {
  const asked = [...new Set(ids)].map(async (id) => {
    const line = await openLine(peer, id);
    try {
      return /** @type {const} */ ([id, await hello(line)]);
    } finally {
      line.close();
    }
  });
  const answers = await Promise.allSettled(asked);
  return new Map(answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : [])));
}

/**
 * Pair with a device, and remember it in the store.
 * @param {any} peer @param {string} id
 * @param {string | ((device: Device) => string | Promise<string>)} code
 *   What the device shows; or a function that asks the user for it.
 * @param {PairingStore} store
 * @param {{ name?: string }} [options] `name`: what the device calls this page.
 * @returns {Promise<Pair>}
 */
export async function pair(peer, id, code, store, { name = location.host || "a web page" } = {}) {
  const line = await openLine(peer, id);
  try {
    const device = await hello(line);
    const typed = typeof code === "string" ? code : await code(device);
    const contact = await firstContact(line.channel, device, typed, checkName(name));
    const confirm = contact.receivePake(await line.ask(contact.pake));
    const met = contact.receiveConfirm(await line.ask(confirm));
    const now = Date.now();
    const known = { ...device, ...met, generation: 1, created: now, seen: now };
    await store.add(known);
    return known;
  } finally {
    line.close();
  }
}

/**
 * The client's messages from the code on. `entropy`: 64 bytes that are never used twice.
 * @param {Channel} channel @param {Device} device @param {string} code @param {string} name
 * @param {Uint8Array} [entropy]
 */
export async function firstContact(channel, device, code, name, entropy) {
  const digits = code.replaceAll(/[\s-]/g, "");
  if (!/^[0-9]{6,}$/.test(digits)) throw new TypeError("a code has 6 digits or more");
  const [{ mac, derive, sha256 }, { message, key: keyOf }] = await Promise.all([
    proofs(),
    pake(digits, entropy),
  ]);
  const key = new Uint8Array(32), transcript = new Uint8Array(32);
  /** @param {string} role @param {string | Uint8Array} told */
  const confirmation = (role, told) =>
    mac(derive(key, "peerjs-pair 1 confirm"), `peerjs-pair 1 ${role}`, transcript, told);

  return {
    pake: write("pake", { message: hex(message) }),

    /** @param {string} text */
    receivePake(text) {
      const theirs = bytesOf(read(text, "pake"), "message", 33);
      key.set(keyOf(theirs));
      const said = [...partsOf(channel), device.name, device.tag, message, theirs];
      transcript.set(sha256(joined(["peerjs-pair 1 transcript", ...said])));
      return write("confirm", { name, proof: hex(confirmation("client", name)) });
    },

    /** @param {string} text */
    receiveConfirm(text) {
      const told = read(text, "confirm");
      const idSecret = bytesOf(told, "secret", 32);
      if (!equal(confirmation("device", idSecret), bytesOf(told, "proof", 32))) {
        throw new Unauthorized("the device does not know the code, or somebody stands between");
      }
      return {
        id: hex(derive(key, "peerjs-pair 1 id", transcript).subarray(0, 16)),
        key: hex(derive(key, "peerjs-pair 1 key", transcript)),
        idSecret: hex(idSecret),
      };
    },
  };
}

/** @param {Awaited<ReturnType<typeof openLine>>} line @returns {Promise<Device>} */
async function hello(line) {
  const said = read(await line.ask(write("hello", { versions: [VERSION] })), "hello");
  checkVersion(said);
  const { tag } = said;
  if (typeof tag !== "string" || !/^[A-Z]{4}$/.test(tag)) throw new Error("a tag is four letters");
  return { name: checkName(said.name), tag };
}

// --- those who know each other ---

/**
 * For peerFetch's `authenticate`: prove to be one of the device's pairs.
 * @param {PairingStore} store
 * @param {string} [id] Of the only pair that will do; any that fits if not given.
 * @returns {(channel: AuthenticationChannel) => Promise<void>}
 */
export function withPairing(store, id) {
  return async (channel) => {
    const { mac, derive } = await proofs();
    const challenge = readChallenge(await channel.receive());
    const known = store.pairs().find(({ id: its, idSecret }) => {
      const hint = mac(unhex(idSecret), "peerjs-auth 1 hint", challenge.nonce);
      return (id ?? its) === its && challenge.hint && equal(hint, unhex(challenge.hint));
    });
    if (!known || !challenge.methods.includes("pair")) {
      throw new Unauthorized("this page is not paired with the device");
    }
    const key = unhex(known.key);
    const entropy = await prove(channel, challenge, key, known);
    const next = entropy && {
      key: hex(derive(key, "peerjs-auth 1 next", entropy)),
      generation: known.generation + 1,
    };
    await store.welcomed(known.id, next);
  };
}

/**
 * For peerFetch's `authenticate`: prove to know a secret of 16 characters or more.
 * @param {string} secret
 * @returns {(channel: AuthenticationChannel) => Promise<void>}
 */
export function withSecret(secret) {
  return async (channel) => {
    const { stretched } = await proofs();
    const key = await stretched(secret);
    const challenge = readChallenge(await channel.receive());
    if (!challenge.methods.includes("secret")) throw new Unauthorized("no secret is taken there");
    await prove(channel, challenge, key);
  };
}

/**
 * Answer a challenge, and check the welcome: the entropy of the next key, if there is to be one.
 * @param {AuthenticationChannel} channel @param {ReturnType<typeof readChallenge>} challenge
 * @param {Uint8Array} key @param {{ id: string, generation: number }} [known]
 * @param {Uint8Array} [fresh] 32 bytes that are never used twice
 */
export async function prove(channel, challenge, key, known, fresh = random(32)) {
  const { mac } = await proofs();
  const { local, remote } = channel.fingerprints;
  const nonce = hex(fresh);
  const method = known ? "pair" : "secret";
  const { id, generation } = known ?? { id: "", generation: 0 };
  const covered = [method, id, String(generation), challenge.nonce, nonce];
  covered.push(...partsOf({ client: local, server: remote }));
  const proof = hex(mac(key, "peerjs-auth 1 client", ...covered));
  const who = known ? { pair: id, generation } : {};
  channel.send(write("response", { version: VERSION, method, ...who, nonce, proof }));

  const welcome = read(await channel.receive(), "welcome");
  const entropy = welcome.entropy === undefined ? null : bytesOf(welcome, "entropy", 32);
  const expected = mac(key, "peerjs-auth 1 server", ...covered, entropy ? hex(entropy) : "");
  if (!equal(expected, bytesOf(welcome, "proof", 32))) {
    throw new Unauthorized("the far side does not know the key, or somebody stands between");
  }
  return entropy;
}

/** @param {string} text */
export function readChallenge(text) {
  const said = read(text, "challenge");
  checkVersion(said);
  const methods = /** @type {string[]} */ (Array.isArray(said.methods) ? said.methods : []);
  const hint = said.hint === undefined ? null : hex(bytesOf(said, "hint", 32));
  return { methods, nonce: hex(bytesOf(said, "nonce", 32)), hint };
}

// --- where a device is ---

/**
 * The ids under which a device can be reached, the likeliest first.
 * @param {Pick<Pair, "idSecret">} pair @param {number} [now] Milliseconds.
 */
export async function deviceIds({ idSecret }, now = Date.now()) {
  const { mac } = await proofs();
  const seconds = now / 1000;
  const epoch = Math.floor(seconds / EPOCH);
  const near = seconds - epoch * EPOCH > EPOCH / 2 ? 1 : -1;
  return [0, near, -near].map((step) =>
    hex(mac(unhex(idSecret), "peerjs-id 1 epoch", String(epoch + step))).slice(0, 32),
  );
}

/**
 * An open connection to a device, under whatever id it has today; raw and reliable if the options do
 * not say otherwise. Use it at once: its first message may be there soon. Who answers has proved
 * nothing yet.
 * @param {any} peer @param {Pick<Pair, "idSecret">} pair @param {object} [options] As connect has it.
 */
export async function connectToDevice(peer, pair, options = {}) {
  let trouble;
  for (const id of await deviceIds(pair)) {
    try {
      return await connect(peer, id, options);
    } catch (error) {
      trouble = error;
    }
  }
  throw trouble;
}

// --- messages ---

/** @param {string} type @param {object} members */
const write = (type, members) => JSON.stringify({ type, ...members });

/**
 * The members of a message of this type. Throws Unauthorized where the far side refuses.
 * @param {unknown} text @param {string} type @returns {Record<string, unknown>}
 */
function read(text, type) {
  if (typeof text !== "string" || text.length > 4096) throw new Error(`no message ${type}`);
  let said;
  try {
    said = JSON.parse(text);
  } catch {
    throw new Error("a message that is no JSON");
  }
  if (said?.type === "refused") {
    const reason = typeof said.reason === "string" ? said.reason.slice(0, 200) : "no reason given";
    throw new Unauthorized(`the far side refuses: ${reason}`);
  }
  if (said?.type !== type) throw new Error(`another message where ${type} was expected`);
  return said;
}

/** @param {Record<string, unknown>} said */
function checkVersion({ versions }) {
  if (!Array.isArray(versions) || !versions.includes(VERSION)) {
    throw new Error("the far side speaks other versions of the protocol");
  }
}

/** @param {Record<string, unknown>} said @param {string} name @param {number} size */
function bytesOf(said, name, size) {
  const value = said[name];
  if (typeof value !== "string" || value.length !== 2 * size || !HEX.test(value)) {
    throw new Error(`${name} is not ${size} bytes in hexadecimal`);
  }
  return unhex(value);
}

/** A name that can be shown anywhere. @param {unknown} name */
function checkName(name) {
  const fits = typeof name === "string" && name === name.trim() && !/[\p{C}\p{Zl}\p{Zp}]/u.test(name);
  if (!fits || !name || [...name].length > 64) {
    throw new TypeError("a name has 1 to 64 printable characters, no space around them");
  }
  return name;
}

// --- connections of peerjs.js ---

/**
 * An open connection, or what kept it from opening.
 * @param {any} peer @param {string} id @param {object} options
 * @returns {Promise<any>}
 */
function connect(peer, id, options) {
  const conn = peer.connect(id, { serialization: "raw", reliable: true, ...options });
  return new Promise((resolve, reject) => {
    const give = (/** @type {Error} */ error) => {
      settle();
      reject(error);
      conn?.close();
    };
    const unavailable = (/** @type {Error & { type: string }} */ error) => {
      if (!conn || (error.type === "peer-unavailable" && error.message.endsWith(` ${id}`))) give(error);
    };
    const closed = () => give(new Error(`no connection to ${id}`));
    const timer = setTimeout(closed, OPENING);
    function settle() {
      clearTimeout(timer);
      peer.off("error", unavailable);
      for (const event of ["error", "close"]) conn?.off(event, event === "error" ? give : closed);
    }
    peer.on("error", unavailable);
    if (!conn) return give(new Error("the peer is not connected to its server"));
    conn.on("error", give);
    conn.on("close", closed);
    conn.on("open", () => {
      settle();
      resolve(conn);
    });
  });
}

/** A connection for first contact: each message is answered by one. @param {any} peer @param {string} id */
async function openLine(peer, id) {
  const conn = await connect(peer, id, { label: LABEL });
  /** @type {string[]} */
  const heard = [];
  let told = () => {};
  let over = false;
  conn.on("data", (/** @type {string} */ text) => {
    if (heard.length < 2) heard.push(text);
    told();
  });
  conn.on("close", () => {
    over = true;
    told();
  });
  const { localDescription, remoteDescription } = conn.peerConnection;
  return {
    channel: { client: fingerprints(localDescription), server: fingerprints(remoteDescription) },
    close: () => conn.close(),

    /** @param {string} text @returns {Promise<string>} */
    async ask(text) {
      if (over) throw new Error("the device has closed the connection");
      conn.send(text);
      /** @type {ReturnType<typeof setTimeout> | undefined} */
      let timer;
      await new Promise((resolve) => {
        told = () => resolve(undefined);
        timer = setTimeout(told, PATIENCE);
        if (heard.length || over) told();
      });
      clearTimeout(timer);
      const answer = heard.shift();
      if (answer === undefined) throw new Error("the device did not answer");
      return answer;
    },
  };
}
