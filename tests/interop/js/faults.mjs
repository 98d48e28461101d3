// What peerjs itself does at the rules of docs/wire.md that speak of its faults and its streams:
// its own classes in Node, with a data channel that only writes down what is sent. Prints JSON.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(process.argv[2] + "/");
const { pack, unpack } = require("peerjs-js-binarypack");
const { Encoder } = require("@msgpack/msgpack");
const { MsgPack, Peer } = await import(
  pathToFileURL(process.argv[2] + "/peerjs/dist/bundler.mjs")
);

const toHex = (bytes) => Buffer.from(bytes).toString("hex");
const settled = () => new Promise((resolve) => setTimeout(resolve, 20));
const peer = new Peer(); // Node has no WebRTC, so it ends by itself; its classes are what we want
const Binary = peer._serializers.binary;

function leave() {
  const closed = [];
  const connection = (n) => ({
    peer: "bob",
    close() {
      closed.push(n);
      peer._removeConnection(this);
    },
  });
  peer._connections.set("bob", [0, 1, 2, 3].map(connection));
  peer._handleMessage({ type: "LEAVE", src: "bob" });
  return closed;
}

function receive(...frames) {
  const heard = [];
  const connection = Object.create(Binary.prototype);
  Object.assign(connection, { _chunkedData: {}, emit: (_, value) => heard.push(value) });
  for (const frame of frames) {
    try {
      connection._handleDataMessage({ data: frame });
    } catch (error) {
      heard.push({ error: error.constructor.name }); // in a page: uncaught, and the frame is lost
    }
  }
  return heard;
}

function twice() {
  const packed = pack("x".repeat(17));
  const chunk = (n, from, to) =>
    pack({ __peerData: 1, n, data: packed.slice(from, to), total: 2 });
  return receive(chunk(0, 0, 10), chunk(0, 0, 10), chunk(1, 10, 20));
}

function openChannel() {
  const channel = Object.assign(new EventTarget(), { bufferedAmount: 0, sent: [] });
  channel.send = (frame) => channel.sent.push(toHex(frame));
  globalThis.RTCPeerConnection = class {
    addTrack = () => {};
    close = () => {};
    createDataChannel = (label, options) =>
      Object.assign(channel, { label: String(label) }, options); // as browsers take a label
    createOffer = () => new Promise(() => {});
  };
  return channel;
}

function call() {
  const channel = openChannel();
  const heard = [];
  const connection = peer.call("bob", { id: "s", getTracks: () => [] });
  connection._open = true; // as an ANSWER makes it
  connection.on("close", () => heard.push("close"));
  channel.onclose();
  return { label: channel.label, ordered: channel.ordered, heard };
}

// One channel, whose end is a MsgPack connection of peerjs.
async function stream(work) {
  const channel = openChannel();
  const provider = { options: {}, socket: { send() {} }, _removeConnection() {} };
  const connection = new MsgPack("bob", provider, { reliable: false });
  const heard = [];
  connection.on("data", (value) => heard.push(value));
  connection.on("close", () => heard.push("close"));
  channel.onopen();
  const arrive = (bytes) =>
    channel.dispatchEvent(Object.assign(new Event("message"), { data: bytes }));
  await work(connection, arrive);
  await settled();
  return { sent: channel.sent, heard, ordered: channel.ordered };
}

const encoder = new Encoder();
const encode = (value) => encoder.encode(value).slice();
// A stream that breaks does so where nobody can catch it.
process.on("unhandledRejection", () => {});

const answers = {
  call: call(),
  leave: leave(),
  nothing: receive(new ArrayBuffer(0)),
  null: receive(pack(null), pack(1)),
  twice: twice(),
  sent: await stream((connection) => {
    for (const value of [1, "x".repeat(40_000), 2]) connection.send(value);
  }),
  cut: await stream((_, arrive) => {
    for (const byte of [...encode("abc"), ...encode([1, 2])]) arrive(new Uint8Array([byte]));
    arrive(new Uint8Array([...encode(3), ...encode(4)]));
  }),
  broken: await stream((_, arrive) => {
    for (const value of [1, null, 2]) arrive(encode(value));
  }),
  closed: await stream((_, arrive) => {
    for (const value of [1, { __peerData: { type: "close" } }]) arrive(encode(value));
  }),
  date: toHex(encode(new Date(0))),
  undefined: toHex(encode(undefined)),
  large: [2 ** 53 - 1, 2 ** 53].map((n) => toHex(encode(n))),
};
process.stdout.write(JSON.stringify(answers), () => process.exit());
