"""What channel, onchain, signer and switch share: params, update logs, Commitment, Funding, totals, HTLC news."""
