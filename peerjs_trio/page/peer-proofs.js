// What proofs are made of, the same as peerjs_proto/proofs.py: docs/pairing.md has the rules.
//
// The hashes are @noble/hashes, and not crypto.subtle, which pages of http://192.168.… have not. An
// import map says where that is, and it is loaded when it is first needed.

/**
 * A connection, by the fingerprints of the certificates at its two ends.
 * @typedef {{ client: string[], server: string[] }} Channel
 *
 * @typedef {Awaited<ReturnType<typeof load>>} Proofs
 */

const ROUNDS = 100_000;
const encoder = new TextEncoder();

/** @type {ReturnType<typeof load> | undefined} */
let loading;

/** The functions that make proofs. @returns {Promise<Proofs>} */
export function proofs() {
  loading ??= load();
  loading.catch(() => (loading = undefined)); // the network may be back the next time
  return loading;
}

async function load() {
  const [{ sha256 }, { hmac }, { hkdf }, { pbkdf2Async }] = await Promise.all([
    import("@noble/hashes/sha2.js"),
    import("@noble/hashes/hmac.js"),
    import("@noble/hashes/hkdf.js"),
    import("@noble/hashes/pbkdf2.js"),
  ]);
  /** @type {Map<string, Promise<Uint8Array>>} */
  const stretched = new Map();
  return {
    /** @param {Uint8Array} bytes @returns {Uint8Array} */
    sha256: (bytes) => sha256(bytes),
    /** @param {Uint8Array} key @param {(string | Uint8Array)[]} parts @returns {Uint8Array} */
    mac: (key, ...parts) => hmac(sha256, key, joined(parts)),
    /** @param {Uint8Array} key @param {(string | Uint8Array)[]} parts @returns {Uint8Array} */
    derive: (key, ...parts) => hkdf(sha256, key, undefined, joined(parts), 32),
    /** HKDF as it is. @param {Uint8Array} key @param {string} info @param {number} size */
    expanded: (key, info, size) => hkdf(sha256, key, undefined, encoder.encode(info), size),
    /** The key that a shared secret stands for. @param {string} secret */
    stretched(secret) {
      if ([...secret].length < 16) {
        throw new TypeError("a shared secret has 16 characters or more, chosen by chance");
      }
      const options = { c: ROUNDS, dkLen: 32 };
      const key =
        stretched.get(secret) ?? pbkdf2Async(sha256, secret, "peerjs-auth 1 secret", options);
      stretched.set(secret, key);
      return key;
    },
  };
}

/** The parts, each behind its length in four bytes. @param {(string | Uint8Array)[]} parts */
export function joined(parts) {
  const encoded = parts.map((part) => (typeof part === "string" ? encoder.encode(part) : part));
  const bytes = new Uint8Array(encoded.reduce((size, part) => size + 4 + part.length, 0));
  let at = 0;
  for (const part of encoded) {
    new DataView(bytes.buffer).setUint32(at, part.length);
    bytes.set(part, at + 4);
    at += 4 + part.length;
  }
  return bytes;
}

/** As proofs cover it. @param {Channel} channel */
export function partsOf({ client, server }) {
  if (!client.length || !server.length) throw new TypeError("a connection without fingerprints");
  return [client, server].map((side) => [...new Set(side)].sort().join("\n"));
}

/**
 * Of the certificates that this description's author may use: "sha-256 AB:CD:…", sorted, each once.
 * @param {RTCSessionDescription | null | undefined} description
 */
export function fingerprints(description) {
  const lines = (description?.sdp ?? "").matchAll(/^a=fingerprint:[ \t]*(\S+)[ \t]+([\da-f:]+)/gim);
  const found = Array.from(lines, ([, hash, value]) => {
    return `${hash?.toLowerCase()} ${value?.toUpperCase()}`;
  });
  return [...new Set(found)].sort();
}

/** Whether two proofs are the same, in a time that does not tell where they differ. */
export function equal(/** @type {Uint8Array} */ ours, /** @type {Uint8Array} */ theirs) {
  let different = ours.length ^ theirs.length;
  for (const [at, byte] of ours.entries()) different |= byte ^ (theirs[at] ?? 0);
  return different === 0;
}

/** @param {number} size */
export const random = (size) => crypto.getRandomValues(new Uint8Array(size));

/** @param {Uint8Array} bytes */
export const hex = (bytes) => Array.from(bytes, (n) => n.toString(16).padStart(2, "0")).join("");

/** @param {string} text */
export function unhex(text) {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}
