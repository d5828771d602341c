"""BOLT 2: a channel from its opening to its close, as a machine. One file per topic; `table` puts them together."""
