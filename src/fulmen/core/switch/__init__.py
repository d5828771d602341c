"""HTLCs in, HTLCs out: one circuit per received HTLC is the judge of what becomes of it (law 10)."""
