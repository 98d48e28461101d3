"""PeerServers beside each other: ours, npm's, and one that does nothing but pass frames on."""
