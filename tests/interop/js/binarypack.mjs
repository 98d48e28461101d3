// Runs the real packages over a list of jobs: JSON on stdin, JSON on stdout, one process.
//
//   {"unpack": hex}            -> what peerjs-js-binarypack reads, tagged
//   {"pack": tagged value}     -> {"hex": ...} as it writes
//   {"date": text}             -> new Date(text), as a number of milliseconds, tagged
//   {"chunk": hex, "skip": n}  -> {"frames": [hex, ...]} as peerjs cuts its message number n + 1
//
// Whatever throws gives {"error": text}. A tagged value keeps apart what JSON does not: numbers
// are their 64 bits in hex, bytes are hex, objects are lists of entries.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { types } from "node:util";

// The packages are in a cache, not above this file, where `import` would look for them.
const require = createRequire(process.argv[2] + "/");
const { pack, unpack } = require("peerjs-js-binarypack");
const { util } = await import(pathToFileURL(process.argv[2] + "/peerjs/dist/bundler.mjs"));

const fromHex = (hex) => new Uint8Array(Buffer.from(hex, "hex")).buffer;
const toHex = (bytes) => Buffer.from(bytes).toString("hex");

function tag(value) {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (value === undefined) return { undefined: true };
  if (typeof value === "number") {
    const view = new DataView(new ArrayBuffer(8));
    view.setFloat64(0, value);
    return { number: toHex(view.buffer) };
  }
  // Not instanceof: a key "__proto__" can make bytes the prototype of an object.
  if (types.isArrayBuffer(value) || types.isUint8Array(value)) return { bytes: toHex(value) };
  if (Array.isArray(value)) return value.map(tag);
  return { map: Object.entries(value).map(([key, item]) => [key, tag(item)]) };
}

function untag(value) {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map(untag);
  if ("undefined" in value) return undefined;
  if ("number" in value) return new DataView(fromHex(value.number)).getFloat64(0);
  if ("bytes" in value) return fromHex(value.bytes);
  return Object.fromEntries(value.map.map(([key, item]) => [key, untag(item)]));
}

function chunk(packed, skip) {
  // `util` is the one instance of a class that extends the chunker, which has no name outside.
  const chunker = new util.constructor.__proto__();
  for (let i = 0; i < skip; i++) chunker.chunk(new ArrayBuffer(0));
  return chunker.chunk(packed).map((frame) => toHex(pack(frame)));
}

function run(job) {
  try {
    if ("unpack" in job) return { value: tag(unpack(fromHex(job.unpack))) };
    if ("pack" in job) return { hex: toHex(pack(untag(job.pack))) };
    if ("date" in job) return { value: tag(new Date(job.date).getTime()) };
    return { frames: chunk(fromHex(job.chunk), job.skip) };
  } catch (error) {
    return { error: String(error) };
  }
}

process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf-8")).map(run)));
