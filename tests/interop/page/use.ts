// What a page in TypeScript writes; ../test_page_types.py checks that it may.

import { Peer } from "peerjs";
import { events, peerFetch } from "peer-fetch";

const peer = new Peer();
const options = { label: "peerjs-http", serialization: "raw", reliable: true };
const fetch = peerFetch(peer.connect("device", options), {
  authenticate: async (channel) => {
    channel.send((await channel.receive()) + channel.fingerprints.local[0]);
  },
});

export const standIn: typeof globalThis.fetch = fetch;

export async function use(): Promise<string> {
  const { agent } = await fetch.opened;
  const asked = new URL("http://device/");
  const response: Response = await fetch(asked, { method: "POST", body: agent });
  for await (const { event, data, id } of events(response)) console.log(event + data + id);
  const socket = new fetch.WebSocket("/live", ["a"]);
  socket.onmessage = ({ data }) => socket.send(data);
  socket.addEventListener("close", (event) => console.log(event.type));
  const { code, reason } = await fetch.close();
  // @ts-expect-error: there is no such option
  peerFetch(peer.connect("device"), { secret: "x" });
  return code + reason;
}
