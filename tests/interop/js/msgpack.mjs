// Runs the real package over a list of jobs: JSON on stdin, JSON on stdout, one process.
//
//   {"decode": [hex, ...]}     -> {"values": [tagged, ...]}, from frames as peerjs.js reads them
//   {"encode": tagged value}   -> {"hex": ...} as peerjs.js writes it
//   {"evaluate": JavaScript}   -> the same, for a value that has no tag
//
// Whatever throws gives {"error": text}, and with "values" those before it. A tagged value keeps
// apart what JSON does not: numbers are their 64 bits in hex, bytes are hex, dates are
// milliseconds, objects are lists of entries.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

// The packages are in a cache, not above this file, where `import` would look for them.
const require = createRequire(process.argv[2] + "/");
const { Encoder, decodeMultiStream } = require("@msgpack/msgpack");

const fromHex = (hex) => new Uint8Array(Buffer.from(hex, "hex"));
const toHex = (bytes) => Buffer.from(bytes).toString("hex");

function tag(value) {
  if (value === null || typeof value === "boolean" || typeof value === "string") return value;
  if (typeof value === "number") {
    const view = new DataView(new ArrayBuffer(8));
    view.setFloat64(0, value);
    return { number: toHex(new Uint8Array(view.buffer)) };
  }
  if (value instanceof Uint8Array) return { bytes: toHex(value) };
  if (value instanceof Date) return { date: value.getTime() };
  if (Array.isArray(value)) return value.map(tag);
  if (Object.getPrototypeOf(value) !== Object.prototype) return { other: value.constructor.name };
  return { map: Object.entries(value).map(([key, item]) => [key, tag(item)]) };
}

function untag(value) {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map(untag);
  if ("number" in value) return new DataView(fromHex(value.number).buffer).getFloat64(0);
  if ("bytes" in value) return fromHex(value.bytes);
  if ("date" in value) return new Date(value.date);
  return Object.fromEntries(value.map.map(([key, item]) => [key, untag(item)]));
}

// peerjs 1.5.5, lib/dataconnection/StreamConnection/MsgPack.ts
async function decode(frames) {
  const values = [];
  const stream = new ReadableStream({
    start(controller) {
      for (const frame of frames) controller.enqueue(fromHex(frame));
      controller.close();
    },
  });
  try {
    for await (const msg of decodeMultiStream(stream)) {
      if (msg.__peerData?.type === "close") return { values, closed: true };
      values.push(tag(msg));
    }
  } catch (error) {
    return { values, error: String(error) };
  }
  return { values };
}

async function run(job) {
  try {
    if ("decode" in job) return await decode(job.decode);
    const value = "evaluate" in job ? (0, eval)(job.evaluate) : untag(job.encode);
    return { hex: toHex(new Encoder().encode(value)) };
  } catch (error) {
    return { error: String(error) };
  }
}

const answers = [];
for (const job of JSON.parse(readFileSync(0, "utf-8"))) answers.push(await run(job));
process.stdout.write(JSON.stringify(answers));
