"""Conformance: scripts of messages as data, played against a node to see whether it keeps to the BOLTs.

A script (`script`) is played by fake peers (`peer`) over a link (`links`): in process against our own core
(`own_node`), or over TCP against any node. `runner` plays, `report` tells, `coverage` says what is covered.
"""
