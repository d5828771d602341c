"""The whole story, for real: open, pay, route, crash, close. `python -m demo` plays it and checks it to the satoshi.

`stage` starts one chain and four nodes as processes of their own; `chapters` act on it, one room each; `ledger` keeps
books that never ask a node; `screen` tells what happens. `playground` keeps the stage up for a person.
"""
