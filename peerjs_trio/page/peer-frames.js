// The frames of docs/http-over-webrtc.md, to and from bytes, and what goes wrong with them.

/**
 * Why something failed: `cause` of the TypeError.
 * @typedef {object} Cause
 * @property {string} code A name of a reset or GOAWAY, or CLOSED, LOST, TIMEOUT, REDIRECT …
 * @property {string} reason For people.
 * @property {unknown} [error] What `authenticate` threw.
 *
 * What a request begins with, and a response.
 * @typedef {object} RequestHead
 * @property {string} method
 * @property {string} path
 * @property {string[][]} headers
 * @property {boolean} [websocket]
 *
 * @typedef {{ status: number, headers: Headers }} Head
 */

export const HELLO = 0, REQUEST = 1, RESPONSE = 2, DATA = 3;
export const CREDIT = 4, RESET = 5, CLOSE = 6, GOAWAY = 7;
export const END = 1, TEXT = 2, MORE = 4;

export const DONE = 0, CANCELLED = 1, INVALID = 3, TOO_LARGE = 4;
export const RESETS = ["DONE", "CANCELLED", "REFUSED", "INVALID", "TOO_LARGE", "FAILED", "TIMEOUT"];

export const CLOSING = 0, PROTOCOL = 1, VERSION = 2, OVERLOAD = 3;
export const GOAWAYS = ["CLOSING", "PROTOCOL", "VERSION", "OVERLOAD"];

export const FRAME = 65_536; // bytes of the largest frame
export const HEAD = 32_768; // bytes of a head, as JSON
export const WINDOW = 262_144; // what a stream may hold for a page that does not read
export const MESSAGE = 1_048_576; // bytes of a WebSocket message
export const COST = 32; // of a DATA, beside its bytes
const AGENT = 128; // letters of the server's name that are kept
const GREETING = 1019; // bytes of a HELLO, as JSON
const HEADERS = 128; // in one head
const REASON = 200; // bytes of a reason that are sent and kept

const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/; // RFC 9110, section 5.6.2
const VALUE = /^[\t -~\x80-\xff]*$/; // RFC 9110, section 5.5
const OF_ONE_HOP = new Set([
  "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
]);

export const NOTHING = new Uint8Array();
export const encoder = new TextEncoder();
export const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const lenient = new TextDecoder();

/** The server has broken a rule of the protocol. */
export class Violation extends Error {}

/**
 * What fetch rejects with where there is no response.
 * @param {string} code @param {string} message @param {string} [reason] @param {unknown} [error]
 */
export function failure(code, message, reason = message, error = undefined) {
  return new TypeError(message, { cause: { code, reason, error } });
}

/** The code of a failure. @param {unknown} error */
export function codeOf(error) {
  const cause = /** @type {Partial<Cause> | undefined} */ (error instanceof Error && error.cause);
  return cause?.code;
}

/** @param {Uint8Array} payload */
export function decodeHello(payload) {
  if (payload.length > GREETING) throw new Violation("a HELLO of more than 1,024 bytes");
  /** @type {any} */
  let members;
  try {
    members = JSON.parse(strict.decode(payload));
  } catch {
    throw new Violation("a HELLO that is no JSON");
  }
  if (!Array.isArray(members?.versions)) throw new Violation("a HELLO without versions");
  /** @param {string} name @param {number} usual @param {number} least @returns {number} */
  const number = (name, usual, least) => {
    const value = members[name] ?? usual;
    if (Number.isInteger(value) && value >= least && value < 2 ** 31) return value;
    throw new Violation(`the ${name} of HELLO is no number, or out of bounds`);
  };
  return {
    /** @type {unknown[]} */
    versions: members.versions,
    window: number("window", 65_536, 1024),
    frame: number("frame", 65_536, 1024),
    streams: number("streams", 1, 1),
    message: number("message", 65_536, 1),
    agent: String(members.agent ?? "").slice(0, AGENT),
  };
}

/** A response's head, or why it is none. @param {Uint8Array} payload @returns {Head | number} */
export function decodeHead(payload) {
  if (payload.length > HEAD) return TOO_LARGE;
  try {
    const { status, headers = [] } = JSON.parse(strict.decode(payload));
    if (headers.length > HEADERS) return TOO_LARGE;
    const fits = status === 101 || (Number.isInteger(status) && status >= 200 && status <= 599);
    if (fits && headers.every(isHeader)) return { status, headers: new Headers(headers) };
  } catch {
    // no JSON, or of another shape
  }
  return INVALID;
}

/** @param {unknown} pair */
function isHeader(pair) {
  const [name, value, ...more] = Array.isArray(pair) ? pair : [];
  const strings = typeof name === "string" && typeof value === "string" && !more.length;
  return strings && NAME.test(name) && VALUE.test(value) && !OF_ONE_HOP.has(name);
}

/** The code and the reason of RESET, CLOSE and GOAWAY. @param {Uint8Array} payload */
export function decoded(payload) {
  const [high, low] = payload;
  if (high === undefined || low === undefined) throw new Violation("a frame without its code");
  return { code: high * 256 + low, reason: lenient.decode(payload.subarray(2, 2 + REASON)) };
}

/** @param {number} code @param {string} reason Cut between two letters where it is too long. */
export function coded(code, reason) {
  const bytes = new Uint8Array(REASON);
  const { written } = encoder.encodeInto(reason, bytes);
  return [code >> 8, code & 255, ...bytes.subarray(0, written)];
}

/** @param {number} number */
export function word(number) {
  return [number >>> 24, (number >>> 16) & 255, (number >>> 8) & 255, number & 255];
}

/** @param {Uint8Array} bytes @param {number} at */
export function numberAt(bytes, at) {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at);
}

/** @param {Uint8Array[]} parts @param {number} size */
export function joined(parts, size) {
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
