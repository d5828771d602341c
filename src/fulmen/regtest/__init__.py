"""The embedded regtest chain: our mempool, policy, index and miner, and Bitcoin Core's RPC in front of them.

Nothing needs to be installed for it: it serves the demo, the tests and people's laptops. What is valid is said by a
judge (`judges`): Bitcoin Core's own code where its wheel exists, btclib's engine everywhere else.
"""
