// The page's side of the demo: one connection to the peer "python" on the server this page is
// from. What both sides say is written down in visitors.py.
"use strict";

const PYTHON_PEER = "python";
const PIECE = 64 * 1024;
const PATIENCE = 20_000; // ms until open
const WINDOW = 2 * 1024 * 1024; // bytes of a file on their way at once

const $ = (id) => document.getElementById(id);

const WORDS = {
  "browser-incompatible": "This browser has no WebRTC.",
  "network": "The server cannot be reached. Is the demo still running?",
  "server-error": "The server cannot be reached. Is the demo still running?",
  "socket-error": "The connection to the server broke.",
  "socket-closed": "The connection to the server was closed.",
  "peer-unavailable": "The Python peer is not there. Is the demo still running?",
  "negotiation-failed": "The page and Python found no way to each other through the network.",
};

// --- the conversation ------------------------------------------------------------------------

// Only ever textContent: what others send is text, whatever it looks like.
function entry(who, text, note = "") {
  const item = document.createElement("li");
  item.className = who;
  item.append(paragraph("", text), paragraph("note", note));
  $("log").append(item);
  $("log").scrollTop = $("log").scrollHeight;
  return item.lastChild;
}

function paragraph(className, text) {
  const element = document.createElement("p");
  element.className = className;
  element.textContent = text;
  return element;
}

function show(state, text) {
  $("state").dataset.state = state;
  $("state").textContent = text;
  $("reconnect").hidden = state !== "lost";
  for (const id of ["text", "send", "fetch"]) $(id).disabled = state !== "connected";
  $("file").disabled = state !== "connected" || sending !== null;
}

function size(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  if (bytes < 1024 * 1024) return `${(bytes / 1024).toFixed(1)} KiB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

const since = (start) => `${(performance.now() - start).toFixed(0)} ms`;

// --- the connection --------------------------------------------------------------------------

let peer = null;
let conn = null;
let sending = null; // the file on its way
let http = null; // a promise of fetch, over a connection of its own

function connect() {
  show("connecting", "Connecting …");
  const started = performance.now();
  const secure = location.protocol === "https:";
  peer = new window.Peer({
    host: location.hostname,
    port: Number(location.port) || (secure ? 443 : 80),
    secure,
    path: "/",
    config: { iceServers: [] }, // the other peer is on this network
  });
  const attempt = peer; // a late word of an attempt given up must not end its successor
  const lost = (reason) => attempt === peer && onLost(reason);
  setTimeout(() => conn?.open || lost(WORDS["negotiation-failed"]), PATIENCE);

  peer.on("error", ({ type, message }) => lost(WORDS[type] ?? `${message} (${type})`));
  peer.on("disconnected", () => lost("The demo has ended, or cannot be reached."));
  peer.on("open", (id) => {
    show("connecting", "Calling Python …");
    conn = peer.connect(PYTHON_PEER, { reliable: true });
    conn.on("open", () => {
      show("connected", `Connected to Python in ${since(started)}, as ${id}`);
      $("text").focus();
    });
    conn.on("data", onData);
    conn.on("error", ({ type, message }) => lost(WORDS[type] ?? `${message} (${type})`));
    conn.on("close", () => lost("Python has closed the connection."));
  });
}

function onLost(reason) {
  const gone = peer;
  peer = conn = http = null;
  gone.destroy();
  for (const { note } of waiting.values()) note.textContent = "not answered";
  waiting.clear();
  sending?.fail(new Error(reason));
  show("lost", reason);
}

function onData(answer) {
  if (typeof answer.answer === "string") onAnswer(answer);
  else if (typeof answer.problem === "string") entry("trouble", answer.problem);
  else sending?.onReceipt(answer);
}

// --- messages --------------------------------------------------------------------------------

const waiting = new Map(); // number -> { note, started }
let count = 0;

function say(text) {
  const number = ++count;
  waiting.set(number, { note: entry("me", text, "sent"), started: performance.now() });
  conn.send({ say: text, number });
}

function onAnswer({ answer, number }) {
  const message = waiting.get(number);
  waiting.delete(number);
  if (message) message.note.textContent = `answered in ${since(message.started)}`;
  entry("python", answer, "Python");
}

// --- files -----------------------------------------------------------------------------------

// A file on its way in pieces, no more than WINDOW ahead of what Python has: so it can be of any
// size, and the progress bar shows what has arrived.
class Sending {
  #conn = conn;
  #received = 0;
  #result = null;
  #failure = null;
  #wake = () => {};

  onReceipt({ received, ...result }) {
    if (received === undefined) this.#result = result;
    else this.#received = received;
    this.#wake();
  }

  fail(error) {
    this.#failure = error;
    this.#wake();
  }

  // What Python says of it, when it has all.
  async run(file) {
    this.#conn.send({ file: file.name, size: file.size });
    for (let start = 0; start < file.size; start += PIECE) {
      const piece = await file.slice(start, start + PIECE).arrayBuffer();
      await this.#until(() => start - this.#received < WINDOW);
      this.#conn.send(piece);
      $("progress").value = this.#received / file.size;
    }
    await this.#until(() => this.#result);
    return this.#result;
  }

  async #until(condition) {
    while (!this.#failure && !condition()) await new Promise((wake) => (this.#wake = wake));
    if (this.#failure) throw this.#failure;
  }
}

async function sendFile(file) {
  const note = entry("me", `${file.name}, ${size(file.size)}`, "on its way …");
  const started = performance.now();
  sending = new Sending();
  $("file").disabled = true;
  $("progress").value = 0;
  $("progress").hidden = false;
  try {
    const [ours, theirs] = await Promise.all([sha256(file), sending.run(file)]);
    note.textContent = `arrived in ${since(started)}`;
    compare(ours, theirs);
  } catch (error) {
    note.textContent = "not sent";
    entry("trouble", `${file.name} did not arrive: ${error.message}`);
  } finally {
    sending = null;
    $("progress").hidden = true;
    $("file").disabled = !conn?.open;
  }
}

function compare(ours, theirs) {
  const text = `I have ${theirs.file}: ${size(theirs.size)}, SHA-256 ${theirs.sha256}`;
  if (ours === null) {
    entry("python", text, "Python. This page could not compute its own to compare.");
  } else if (ours === theirs.sha256) {
    entry("python", text, "Python. The page has the same SHA-256 ✓").classList.add("good");
  } else {
    entry("python", text, "Python");
    entry("trouble", `The page has another SHA-256: ${ours}`);
  }
}

// Null where the browser has no WebCrypto (over http it has it on localhost alone), or the file
// does not fit into memory.
async function sha256(file) {
  try {
    const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
    return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  } catch {
    return null;
  }
}

// --- HTTP ------------------------------------------------------------------------------------

async function dialHttp() {
  const { peerFetch } = await import("./peer-fetch.js");
  const options = { label: "peerjs-http", serialization: "raw", reliable: true };
  return peerFetch(peer.connect(PYTHON_PEER, options));
}

async function askHello() {
  const note = entry("me", 'fetch("/hello")', "asked");
  const started = performance.now();
  try {
    const fetch = await (http ??= dialHttp());
    const response = await fetch("/hello");
    note.textContent = `answered with ${response.status} in ${since(started)}`;
    entry("python", await response.text(), "Python, by HTTP over WebRTC");
  } catch (error) {
    note.textContent = "not answered";
    entry("trouble", error.message);
    http = null;
  }
}

// --- the visitor -----------------------------------------------------------------------------

$("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value;
  if (!text || !conn?.open) return;
  say(text);
  $("text").value = "";
});

$("file").addEventListener("change", () => {
  const [file] = $("file").files;
  if (file && conn?.open && !sending) sendFile(file);
  $("file").value = ""; // so that the same file can be chosen again
});

$("fetch").addEventListener("click", askHello);

$("reconnect").addEventListener("click", () => (window.Peer ? connect() : location.reload()));

// Python need not wait until it notices.
window.addEventListener("pagehide", () => peer && onLost("The page was left."));

if (window.Peer) connect();
else show("lost", "peerjs.js could not be loaded. Is this machine on the Internet?");
