"""Put a changed piece of code in the place of the one that runs, in this process only.

A function keeps its identity and gets other code, so whoever imported it runs the mistake. A constant is changed in
every module that imported it by its name, and those of its own module that are computed from it after it.
"""

from __future__ import annotations

import ast
import gc
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType

from mutants.mutations import Mutation


class CannotSwap(Exception):
    """This mistake cannot be made in a running process: the function closes over other variables."""


def put_in_place(module: ModuleType, mutation: Mutation) -> None:
    """Make the mistake.

    Raises:
        CannotSwap: nothing was changed that matters; do not run tests with it.
    """
    if mutation.constant is not None:
        _swap_constants(module, mutation)
    else:
        _swap_code(module, mutation)


def _swap_code(module: ModuleType, mutation: Mutation) -> None:
    path = str(module.__file__)
    changed = compile(mutation.tree(), path, "exec", dont_inherit=True)
    codes = {_name(code): code for code in _all_codes(changed)}
    for function in gc.get_objects():
        if isinstance(function, FunctionType) and function.__code__.co_filename == path:
            code = codes.get(_name(function.__code__))
            if code is None or code == function.__code__:
                continue
            try:
                function.__code__ = code
            except ValueError as unlike:
                raise CannotSwap(str(unlike)) from unlike


def _name(code: CodeType) -> tuple[str, int]:
    return code.co_qualname, code.co_firstlineno


def _all_codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _all_codes(constant)


def _swap_constants(module: ModuleType, mutation: Mutation) -> None:
    stale = {mutation.constant}
    for statement in mutation.tree().body:
        if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
            continue
        name = statement.targets[0].id
        used = {node.id for node in ast.walk(statement.value) if isinstance(node, ast.Name)}
        if name not in stale and not used & stale:
            continue
        stale.add(name)
        old = module.__dict__[name]
        new = eval(compile(ast.Expression(statement.value), str(module.__file__), "eval"), module.__dict__)
        for other in list(sys.modules.values()):
            if getattr(other, "__dict__", {}).get(name) is old:
                setattr(other, name, new)
