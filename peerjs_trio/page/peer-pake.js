// SPAKE2 on Ed25519, with the messages and the transcript of Python's spake2 0.9: the client's side.
//
// The curve is @noble/curves: audited, and with multiplications that take the same time for all
// scalars. What is here is the protocol of Abdalla and Pointcheval, and the constants of spake2.

import { equal, hex, proofs, random, unhex } from "./peer-proofs.js";

// Points of which nobody knows the logarithm: spake2 hashes "M" and "N" to them.
const M = "15cfd18e385952982b6a8f8c7854963b58e34388c8e6dae891db756481a02312";
const N = "f04f2e7eb734b2a8f8b472eaf9c3c632576ac64aea650b496a8a20ff00e583c3";
const CLIENT = 0x41; // "A"
const DEVICE = 0x42;

/**
 * One exchange: `message` goes out, the device's comes in, and that is all.
 * @param {string} code @param {Uint8Array} [entropy] 64 bytes that are never used twice
 */
export async function pake(code, entropy = random(64)) {
  const [{ ed25519 }, { sha256, expanded }] = await Promise.all([
    import("@noble/curves/ed25519.js"),
    proofs(),
  ]);
  const { Point } = ed25519;
  /** @param {Uint8Array} bytes */
  const scalar = (bytes) => BigInt(`0x${hex(bytes)}`) % Point.Fn.ORDER;
  const encoder = new TextEncoder();
  const password = encoder.encode(code);
  const pw = scalar(expanded(password, "SPAKE2 pw", 48));
  const x = scalar(entropy);
  const ours = Point.BASE.multiply(x).add(Point.fromHex(M).multiply(pw)).toBytes();

  return {
    message: Uint8Array.of(CLIENT, ...ours),

    /**
     * The key: the device has the same if it knows the code. Throws for what is no message.
     * @param {Uint8Array} message
     */
    key(message) {
      const theirs = message.subarray(1);
      if (message[0] !== DEVICE || equal(ours, theirs)) throw new Error("a message of our own side");
      const point = Point.fromBytes(theirs);
      if (point.is0() || !point.isTorsionFree()) throw new Error("a point outside of the group");
      const shared = point.subtract(Point.fromHex(N).multiply(pw)).multiply(x).toBytes();
      const sides = ["client", "device"].map((side) => sha256(encoder.encode(`peerjs-pair 1 ${side}`)));
      return sha256(unhex([sha256(password), ...sides, ours, theirs, shared].map(hex).join("")));
    },
  };
}
