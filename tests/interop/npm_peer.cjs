// Runs a real npm PeerServer, given its package and its options as JSON; prints the port it got.
"use strict";

const { PeerServer } = require(process.argv[2]);

const { ids, ...options } = JSON.parse(process.argv[3]);
if (ids) {
  options.generateClientId = () => ids.shift();
}

PeerServer({ host: "127.0.0.1", port: 0, ...options }, (server) => {
  console.log(server.address().port);
});

// What npm's own command line does: one client's nonsense must not end the server. A program of
// somebody's, with the package in it, has no such line.
if (process.argv[4] !== "embedded") {
  process.on("uncaughtException", (error) => console.error(String(error)));
}

// Whoever started us holds our stdin: should they be killed, we go with them.
process.stdin.resume();
process.stdin.on("end", () => process.exit());
