// A page that uses peer-fetch.js, driven from Python (../test_page_fetch.py). What a test does with
// `fetch` stands in the test.

import { events, peerFetch } from "/page/peer-fetch.js";

const { Peer } = window.peerjs ?? window; // 2.0 beta has no name around it
const OPTIONS = { label: "peerjs-http", serialization: "raw", reliable: true };

// A test may end with requests under way, which its end rejects: nobody waits for them then.
const ended = (fetch) =>
  new Proxy(fetch, {
    apply(target, self, args) {
      const response = Reflect.apply(target, self, args);
      response.catch(() => {});
      return response;
    },
  });

window.http = {
  events,
  fetch: undefined, // ours
  conn: undefined,
  most: 0, // bytes that the channel has held at once

  // Dial the Python peer, and wait until it is ready.
  async open(address) {
    await http.register(address);
    await http.dial();
    return (await http.fetch.opened).agent;
  },

  async register(address) {
    http.peer = new Peer({ ...address, config: { iceServers: [] } });
    await new Promise((resolve, reject) => http.peer.on("open", resolve).on("error", reject));
  },

  // Dial, and wait until the connection is open.
  async dial(options = {}, given = {}) {
    const conn = (http.conn = http.peer.connect("python", { ...OPTIONS, ...given }));
    http.fetch = ended(peerFetch(conn, options));
    await new Promise((resolve) => conn.on("open", resolve));
    const send = conn.send.bind(conn);
    conn.send = (data) => {
      send(data);
      http.most = Math.max(http.most, conn.dataChannel?.bufferedAmount ?? 0);
    };
  },

  json: async (...args) => (await http.fetch(...args)).json(),

  // A WebSocket, and what it says, in order.
  async socket(url, protocols) {
    const socket = new http.fetch.WebSocket(url, protocols);
    const said = [];
    const waiting = [];
    const say = (what) => (waiting.length ? waiting.shift()(what) : said.push(what));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => say(["open", socket.protocol]);
    socket.onmessage = ({ data }) => say(["message", data]);
    socket.onerror = () => say(["error"]);
    socket.onclose = ({ code, reason, wasClean }) => say(["close", code, reason, wasClean]);
    const next = () => said.shift() ?? new Promise((resolve) => waiting.push(resolve));
    return { socket, next };
  },

  // A promise's outcome, where it should be an error.
  async failure(promise) {
    try {
      await promise;
    } catch (error) {
      const { name, message, cause } = error;
      return { name, message, code: cause?.code, reason: cause?.reason };
    }
    throw new Error("nothing was thrown");
  },

  async sha256(bytes) {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  },
};
