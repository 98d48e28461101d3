// Runs the real npm PeerServer with the options given as JSON, and prints the port it got.
"use strict";

const { PeerServer } = require("peer");

PeerServer({ host: "127.0.0.1", port: 0, ...JSON.parse(process.argv[2]) }, (server) => {
  console.log(server.address().port);
});

// What npm's own command line does: one client's nonsense must not end the server.
process.on("uncaughtException", (error) => console.error(String(error)));

// Whoever started us holds our stdin: should they be killed, we go with them.
process.stdin.resume();
process.stdin.on("end", () => process.exit());
