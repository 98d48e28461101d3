// A page that pairs with a device, and uses its HTTP. test_pairing_page.py calls these functions.
import { peerFetch } from "./peer-fetch.js";
import * as pairing from "./peer-pair.js";

const store = pairing.pairingStore();
let peer;

function open(id, server) {
  const { hostname, port } = server ? new URL(server) : location;
  peer = new Peer(id, { host: hostname, port, path: "/" });
  return new Promise((resolve, reject) => peer.on("open", resolve).on("error", reject));
}

/** A page that asks for what a function of peer-pair.js proves. */
async function get(conn, authenticate) {
  const fetch = peerFetch(conn, { authenticate });
  try {
    return await (await fetch("/")).text();
  } finally {
    fetch.close();
  }
}

const TERMS = { label: "peerjs-http", serialization: "raw", reliable: true };

window.lab = {
  open,
  isSecure: () => [isSecureContext, Boolean(crypto.subtle)],
  discover: async (ids) => Object.fromEntries(await pairing.discover(peer, ids)),
  pair: async (id, code) => {
    const { name, tag } = await pairing.pair(peer, id, code, store, { name: "page" });
    return { name, tag };
  },
  pairAsked: async (id, code) => {
    let asked;
    await pairing.pair(peer, id, (device) => ((asked = device), code), store);
    return asked;
  },
  generations: () => store.pairs().map((pair) => pair.generation),
  keys: () => store.pairs().map((pair) => pair.key),
  forget: () => store.forget(store.pairs()[0].id),
  withPairing: (id) => get(peer.connect(id, TERMS), pairing.withPairing(store)),
  withSecret: (id, secret) => get(peer.connect(id, TERMS), pairing.withSecret(secret)),
  withNothing: (id) => get(peer.connect(id, TERMS)),
  reconnect: async () => {
    const conn = await pairing.connectToDevice(peer, store.pairs()[0], TERMS);
    return get(conn, pairing.withPairing(store));
  },
  damage: () => {
    localStorage.setItem("peerjs-pairings", "{");
    try {
      store.pairs();
    } catch (error) {
      return [error.message, localStorage.getItem("peerjs-pairings")];
    }
  },
};
