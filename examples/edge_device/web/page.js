// Finds the devices on this network, pairs with one, and shows the page that the device has.

import { events, peerFetch } from "./peer-fetch.js";
import { connectToDevice, discover, pair, pairingStore, withPairing } from "./peer-pair.js";
import { peerRoom } from "./peer-room.js";

const $ = (selector) => document.querySelector(selector);
const say = (text) => ($("#status").textContent = text);
const store = pairingStore();

const url = new URL(location.href);
const peer = new Peer({
  host: url.hostname,
  port: url.port || (url.protocol === "https:" ? 443 : 80),
  path: "/",
  secure: url.protocol === "https:",
  config: { iceServers: [] }, // where both are on one network
});
peer.on("error", (error) => say(`${error.type}: ${error.message}`));
peer.on("open", () => start().catch((error) => say(error.message)));

async function start() {
  const [known] = store.pairs();
  if (known) return show(known);
  say("Looking for devices on this network…");
  for await (const change of peerRoom(peer).watch()) {
    if (change.type === "left") document.getElementById(change.peer)?.remove();
    else list(change.peer);
  }
}

/** Whoever is in the room and offers pairing. */
async function list(id) {
  const device = (await discover(peer, [id])).get(id);
  if (!device) return; // another page
  const item = document.createElement("li");
  item.id = id;
  item.textContent = `${device.name} (${device.tag}) `;
  const form = document.createElement("form");
  form.innerHTML = '<input name="code" placeholder="the code it shows" required> <button>Pair</button>';
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await show(await pair(peer, id, form.code.value, store));
    } catch (error) {
      say(`${error.name}: ${error.message}`);
    }
  });
  item.append(form);
  $("#found").append(item);
}

async function show(known) {
  say(`Connecting to ${known.name}…`);
  const options = { label: "peerjs-http", serialization: "raw", reliable: true };
  const conn = await connectToDevice(peer, known, options);
  const fetch = peerFetch(conn, { authenticate: withPairing(store) });
  const code = await (await fetch("/panel.js")).blob();
  const panel = await import(URL.createObjectURL(code));
  $("#found").replaceChildren();
  say(`Connected to ${known.name} (${known.tag})`);
  await panel.show($("main"), fetch, events);
}
