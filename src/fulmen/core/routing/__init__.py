"""Which way a payment goes: costs, shortest path, and what attempts taught about liquidity."""
