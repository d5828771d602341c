"""Fuzzing: whatever bytes come, an answer or a fault with a name.

`python -m fuzz` runs every target for a while under libFuzzer (atheris), `python -m fuzz wire_updates --runs 1000000`
one of them for so many executions. A target is a plain function of bytes, so each runs without atheris too: the tests
play all seeds.
"""
