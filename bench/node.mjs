// node node.mjs NODE_MODULES: reads requests from stdin and answers each with a line. A byte above 0
// is the size of a job's name; the name, 4 bytes of size and the job's data follow, and "0" answers.
// A 0 asks for a measurement: the number of a job, from 0 on, and how often to do it follow, in 4
// bytes each; the seconds of CPU that it took are the answer.

import { readSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const modules = process.argv[2];
// The packages are in a cache, not above this file, where `import` would look for them.
const { pack, unpack } = createRequire(modules + "/")("peerjs-js-binarypack");
const { Peer, util } = await import(pathToFileURL(modules + "/peerjs/dist/bundler.mjs"));

// peerjs's own data connection, without an RTCPeerConnection around it.
function connection(rest) {
  const peer = new Peer();
  peer.on("error", () => {}); // It says that Node is no browser.
  // `util` is the one instance of a class that extends the chunker, which has no name outside.
  const chunker = new util.constructor.__proto__();
  return Object.assign(Object.create(peer._serializers.binary.prototype), { chunker, ...rest });
}

function split(value) {
  const frames = [];
  const sender = connection({
    send: (frame) => sender._send(frame, true),
    _bufferedSend: (frame) => frames.push(frame),
  });
  sender._send(value);
  return frames;
}

function join(frames) {
  let value;
  const receiver = connection({ _chunkedData: {}, emit: (_, data) => (value = data) });
  for (const data of frames) receiver._handleDataMessage({ data });
  return value;
}

// From the data, the function that is timed.
const JOBS = {
  pack: (data, value = unpack(data)) => () => pack(value),
  unpack: (data) => () => unpack(data),
  split: (data, value = unpack(data)) => () => split(value),
  join: (data, frames = split(unpack(data))) => () => join(frames),
  json: (data, text = new TextDecoder().decode(data)) => () => JSON.stringify(JSON.parse(text)),
};

function read(size) {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; ) {
    const got = readSync(0, bytes, at, size - at);
    if (got === 0) process.exit(); // no more to do
    at += got;
  }
  return bytes.buffer;
}

const number = () => new DataView(read(4)).getUint32(0);

const runs = [];
globalThis.last = undefined; // what is made is kept: V8 cannot leave the work out
for (;;) {
  const [size] = new Uint8Array(read(1));
  if (size > 0) {
    const name = new TextDecoder().decode(read(size));
    runs.push(JOBS[name](read(number())));
    console.log("0");
    continue;
  }
  const run = runs[number()];
  const times = number();
  const before = process.cpuUsage();
  for (let i = 0; i < times; i++) globalThis.last = run();
  const { user, system } = process.cpuUsage(before);
  console.log(String((user + system) / 1e6));
}
