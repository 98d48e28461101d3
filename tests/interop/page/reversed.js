// A serialization of the application's own: a text a frame, in UTF-8, from the last byte to the
// first. The twin of Reversed in ../test_own_serialization.py.

import { MsgPack } from "/npm/peerjs/dist/serializer.msgpack.mjs";

// The file exports nothing else, and an application would write this in TypeScript with npm.
const StreamConnection = Object.getPrototypeOf(MsgPack);

export class Reversed extends StreamConnection {
  serialization = "reversed";

  constructor(...args) {
    super(...args);
    this.#read();
  }

  async #read() {
    for await (const frame of this._rawReadStream) {
      this.emit("data", new TextDecoder().decode(new Uint8Array(frame).reverse()));
    }
  }

  _send(text) {
    return this.writer.write(new TextEncoder().encode(text).reverse());
  }
}
