"""Our conformance scripts against the nodes of others: `python -m interop.conformance [lnd] [ldk] [--write]`.

What they do not keep is listed in docs/conformance-others.md with the reason and with what was said, so that whoever
meets such a node knows it, and so that a script of ours that is wrong is found out by the nodes that work.
"""
