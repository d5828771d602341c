"""The shell of the embedded chain: Bitcoin Core's JSON-RPC, as Lightning nodes and Electrum servers call it."""
