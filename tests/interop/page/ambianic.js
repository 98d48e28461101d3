// What ambianic's pages do with a data connection, from the protocol in docs/http-over-webrtc.md:
// one request at a time on the wire, a look at what has come five times a second, 20 s of patience,
// and a ping each second in which nothing else is wanted.

const { Peer } = window.peerjs ?? window;

const PATIENCE_MS = 20_000;
const LOOK_MS = 200;
const PAUSE_MS = 50;
const PING_MS = 1000;

class Fetcher {
  #conn;
  #waiting = []; // the first is on the wire
  #pings;
  heard = { busy: 0, pongs: 0, astray: 0 };

  constructor(conn) {
    this.#conn = conn;
    conn.on("data", (data) => this.#receive(data));
    conn.on("close", () => clearInterval(this.#pings));
    this.#pings = setInterval(() => this.#ping(), PING_MS);
  }

  async request({ url = "/", method = "GET", params = {}, json, data }) {
    const query = new URLSearchParams(params);
    const ticket = { text: JSON.stringify({ url: `${url}?${query}`, method, json, data }) };
    this.#waiting.push(ticket);
    if (this.#waiting.length === 1) this.#sendFirst();
    const begun = Date.now();
    while (!ticket.whole) {
      if (Date.now() - begun > PATIENCE_MS) throw new Error(`no answer to ${url}`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    this.#waiting.shift();
    setTimeout(() => this.#sendFirst(), PAUSE_MS);
    return { header: ticket.header, content: ticket.content };
  }

  #sendFirst() {
    const ticket = this.#waiting[0];
    if (ticket && !ticket.sent) this.#conn.send(ticket.text);
    if (ticket) ticket.sent = true;
  }

  #receive(data) {
    const ticket = this.#waiting[0];
    if (!ticket || ticket.whole) {
      this.heard.astray += 1;
    } else if (ticket.header) {
      ticket.content = data;
      ticket.whole = true;
    } else {
      const header = JSON.parse(typeof data === "string" ? data : decode(data));
      if (header.status === 202) {
        this.heard.busy += 1;
      } else {
        ticket.header = header;
        ticket.whole = header.status === 204;
      }
    }
  }

  async #ping() {
    if (this.#waiting.length > 0) return;
    const { header, content } = await this.request({ url: "ping" });
    if (header.status === 200 && content === "pong") this.heard.pongs += 1;
  }
}

// As they do, and so only of an ArrayBuffer.
const decode = (content) => new TextDecoder("utf8").decode(new DataView(content));

let fetcher;

export function connect(id, remote, options) {
  return new Promise((resolve, reject) => {
    const peer = new Peer(id, { config: { iceServers: [] }, ...options });
    peer.on("error", reject);
    peer.on("open", () => {
      const conn = peer.connect(remote, {
        label: "http-proxy", reliable: true, serialization: "raw",
      });
      conn.on("error", reject);
      conn.on("open", () => {
        fetcher = new Fetcher(conn);
        resolve();
      });
    });
  });
}

// The answer as JSON, with a text that stands for the body.
export async function request(what) {
  const { header, content } = await fetcher.request(what);
  const { busy } = fetcher.heard;
  fetcher.heard.busy = 0;
  return { ...header, busy, text: content instanceof ArrayBuffer ? decode(content) : null };
}

// As an <img> shows it: its width and height.
export async function image(url) {
  const { header, content } = await fetcher.request({ url });
  const bitmap = await createImageBitmap(new Blob([content], { type: header["content-type"] }));
  return [bitmap.width, bitmap.height];
}

export async function pongs(count) {
  while (fetcher.heard.pongs < count) await new Promise((resolve) => setTimeout(resolve, 50));
  return fetcher.heard;
}
