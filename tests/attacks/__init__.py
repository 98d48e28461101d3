"""Those who mean harm, against our PeerServer and npm's: what happens, and what it costs."""
