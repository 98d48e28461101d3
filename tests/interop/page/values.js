// Values between a page and Python: JSON with tags for what JSON does not know.
// The twin of ../values.py; the two change together.

export function encode(value) {
  switch (typeof value) {
    case "undefined":
      return { $: "undefined" };
    case "number":
      return encodeNumber(value);
    case "bigint":
      return { $: "int", text: String(value) };
    case "object":
      return value === null ? null : encodeObject(value);
    case "function":
    case "symbol":
      return { $: typeof value };
  }
  return value;
}

function encodeNumber(number) {
  if (Number.isSafeInteger(number) && !Object.is(number, -0)) return number;
  if (Number.isInteger(number) && number !== 0) return { $: "int", text: String(BigInt(number)) };
  if (Number.isFinite(number) && number !== 0) return number;
  return { $: "number", text: Object.is(number, -0) ? "-0" : String(number) };
}

function encodeObject(object) {
  const bytes = bytesOf(object);
  if (bytes) return { $: "bytes", b64: bytes.toBase64() };
  if (Array.isArray(object)) return object.map(encode);
  if (object instanceof Date) return { $: "date", ms: object.getTime() };
  const kind = Object.prototype.toString.call(object);
  if (kind !== "[object Object]") return { $: kind };
  const plain = mapValues(object, encode);
  return Object.hasOwn(plain, "$") ? { $: "map", map: plain } : plain;
}

// peerjs.js hands over a small message as an ArrayBuffer, one that came in chunks as a view.
function bytesOf(object) {
  if (object instanceof ArrayBuffer) return new Uint8Array(object);
  if (!ArrayBuffer.isView(object)) return null;
  return new Uint8Array(object.buffer, object.byteOffset, object.byteLength);
}

export function decode(tagged) {
  if (tagged === null || typeof tagged !== "object") return tagged;
  if (Array.isArray(tagged)) return tagged.map(decode);
  switch (tagged.$) {
    case undefined:
      return mapValues(tagged, decode);
    case "undefined":
      return undefined;
    case "int":
    case "number":
      return Number(tagged.text);
    case "bytes":
      return Uint8Array.fromBase64(tagged.b64);
    case "date":
      return new Date(tagged.ms);
    case "map":
      return mapValues(tagged.map, decode);
  }
  throw new TypeError(`no such tag: ${tagged.$}`);
}

function mapValues(object, change) {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value)]));
}

// --- big values, made by rule on both sides so that they need not cross ---------------------

const BLOCK = 65_521;
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

export function make({ kind, size, seed }) {
  const block = xorshift(seed);
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += BLOCK) bytes.set(block.subarray(0, size - at), at);
  if (kind === "bytes") return bytes;
  return new TextDecoder().decode(bytes.map((byte) => ALPHABET.charCodeAt(byte % 64)));
}

function xorshift(seed) {
  let state = seed;
  return new Uint8Array(BLOCK).map(() => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state;
  });
}

export async function digest(value) {
  const text = typeof value === "string";
  const bytes = text ? new TextEncoder().encode(value) : bytesOf(value);
  if (!bytes) throw new TypeError(`neither text nor bytes: ${JSON.stringify(encode(value))}`);
  const sha256 = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
  return { kind: text ? "text" : "bytes", size: bytes.length, sha256 };
}

// --- many small values ----------------------------------------------------------------------

export function numbered(kind, n) {
  switch (kind) {
    case "number":
      return n;
    case "text":
      return `message ${n}`;
    case "bytes":
      return new Uint8Array([n >>> 24, n >>> 16, n >>> 8, n]);
    case "object":
      return { n, body: [`message ${n}`, n % 2 === 0] };
  }
  throw new TypeError(`no such kind: ${kind}`);
}

// For the harness's own test.
export const roundTrip = (tagged) => encode(decode(tagged));
