// What peer-pair.js makes of the vectors of the core's tests: jobs on standard input, as node_jobs.py
// has it. Its modules find @noble in the folder where they were copied to.
import { readFileSync } from "node:fs";

const [, , , modules] = process.argv;
const url = (name) => new URL(name, `file://${modules}/`).href;
const { deviceIds, firstContact, prove, readChallenge } = await import(url("peer-pair.js"));
const { hex, joined, proofs, unhex } = await import(url("peer-proofs.js"));
const { derive, mac, stretched } = await proofs();

async function primitives({ parts, key, secret }) {
  return {
    joined: hex(joined(parts)),
    mac: hex(mac(unhex(key), ...parts)),
    derived: hex(derive(unhex(key), ...parts)),
    stretched: hex(await stretched(secret)),
  };
}

async function ids({ idSecret, ids }) {
  const made = Object.keys(ids).map(async (now) => [now, await deviceIds({ idSecret }, now * 1000)]);
  return { ids: Object.fromEntries(await Promise.all(made)) };
}

async function handshake({ channel, key, pair, generation, clientNonce, challenge, welcome }) {
  const sent = [];
  const line = {
    fingerprints: { local: channel.client, remote: channel.server },
    send: (text) => sent.push(text),
    receive: async () => welcome,
  };
  const known = pair ? { id: pair, generation } : undefined;
  const asked = readChallenge(challenge);
  const entropy = await prove(line, asked, unhex(key), known, unhex(clientNonce));
  const next = entropy && hex(derive(unhex(key), "peerjs-auth 1 next", entropy));
  return { response: sent[0], next };
}

async function contact({ channel, code, name, clientEntropy, said }) {
  const device = JSON.parse(said[1]);
  const client = await firstContact(channel, device, code, name, unhex(clientEntropy));
  const confirm = client.receivePake(said[3]);
  return { pake: client.pake, confirm, ...client.receiveConfirm(said[5]) };
}

const does = { primitives, ids, handshake, contact };
const answers = [];
for (const { what, ...job } of JSON.parse(readFileSync(0, "utf8"))) answers.push(await does[what](job));
process.stdout.write(JSON.stringify(answers));
