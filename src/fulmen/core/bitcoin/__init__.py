"""Bitcoin itself: transactions, scripts, sighashes, taproot, addresses, blocks, keys and the chains' constants."""
