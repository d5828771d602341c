"""What may be asked of a node: one registry of commands, and the JSON-RPC socket that serves it.

`registry` says what a command is, `commands/` holds them by family, `dispatch` turns a call into an answer, `server`
and `client` carry calls over a unix socket, and `schema` describes it all. The command line is made from the same
registry.
"""
