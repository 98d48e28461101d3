// A peerjs.js Peer that does in a page what ends.py does in Python. Run in the page of
// tests/interop, which has loaded peerjs.js.

(() => {
  const { Peer } = window.peerjs;

  // An application that paces itself: peerjs.js would look every 50 ms at what is above 8 MiB.
  const HIGH_WATER = 4 << 20;
  const LOW_WATER = 1 << 20;

  const connections = [];
  let peer;

  const jobs = {
    sink(conn) {
      let seen = 0;
      conn.on("data", () => {
        if (++seen % conn.metadata.count === 0) conn.send("all");
      });
    },
    echo(conn) {
      conn.on("data", (value) => conn.send(value));
    },
  };

  function next(conn) {
    return new Promise((resolve) => conn.once("data", resolve));
  }

  async function room({ dataChannel }) {
    if (dataChannel.bufferedAmount <= HIGH_WATER) return;
    dataChannel.bufferedAmountLowThreshold = LOW_WATER;
    await new Promise((resolve) => {
      dataChannel.addEventListener("bufferedamountlow", resolve, { once: true });
    });
  }

  window.bench = {
    open(id, options) {
      peer = new Peer(id, { config: { iceServers: [] }, ...options });
      peer.on("connection", (conn) => jobs[conn.metadata.job](conn));
      return new Promise((resolve, reject) => {
        peer.on("open", resolve);
        peer.on("error", reject);
      });
    },

    async dial(remote, options) {
      const conn = peer.connect(remote, options);
      await new Promise((resolve) => conn.on("open", resolve));
      return connections.push(conn) - 1;
    },

    // Seconds until a sink says that it has all of it.
    async upload(handle, size) {
      const conn = connections[handle];
      const value = new Uint8Array(size);
      const begin = performance.now();
      const answer = next(conn);
      for (let n = 0; n < conn.metadata.count; n++) {
        await room(conn);
        conn.send(value);
      }
      await answer;
      return (performance.now() - begin) / 1e3;
    },

    // Round trips of 64 bytes with an echo, in seconds, sorted.
    async ping(handle, times) {
      const conn = connections[handle];
      const ball = new Uint8Array(64);
      const trips = [];
      for (let n = 0; n < times; n++) {
        const begin = performance.now();
        const answer = next(conn);
        conn.send(ball);
        await answer;
        trips.push((performance.now() - begin) / 1e3);
      }
      return trips.sort((a, b) => a - b);
    },

    hangUp: (handle) => connections[handle].close(),

    close() {
      // destroy() alone leaves every second connection to the same peer open (peerjs.js 1.5.5).
      for (const conn of connections) conn.close();
      peer.destroy();
    },
  };
})();
