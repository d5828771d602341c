"""A second opinion for constants: the mistake is written into a private copy of the tree, and pytest runs there.

A constant may have been used while modules were imported, for other constants or for the parameters of tests; in the
memory of a process that has imported everything it is too late for those.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mutants.mutations import Mutation

PARTS = ("src", "tests", "demo", "bench", "interop", "fuzz", "mutants", "pyproject.toml")


def passes_in_a_copy(root: Path, file: Path, mutation: Mutation, tests: Sequence[str], limit_s: float) -> bool | None:
    """Whether the tests pass with the mistake; None if they took too long."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder)
        for part in PARTS:
            if (root / part).is_dir():
                shutil.copytree(root / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
            elif (root / part).exists():
                shutil.copy(root / part, copy / part)
        (copy / file.relative_to(root)).write_text(ast.unparse(mutation.tree()), encoding="utf-8")
        (copy / "names").write_text("\n".join(tests), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-o", "timeout=0"]
        environment = {**os.environ, "PYTHONPATH": f"{copy / 'src'}{os.pathsep}{copy}", "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            ran = subprocess.run(
                [*command, "--hypothesis-seed=0", "@names"],
                cwd=copy,
                env=environment,
                timeout=limit_s,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None
        return ran.returncode == 0
