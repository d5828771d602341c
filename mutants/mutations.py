"""Small mistakes, one at a time, in the syntax tree of a file.

Which mistakes: comparisons (boundary moved by one, negated), numbers one more or less, truth values, conditions
negated, `and` for `or`, an operand dropped, another operator, arms of a choice swapped, a statement or a raise left
out, nothing returned. What a person reads (docstrings, texts, annotations, the fields of a fault) is left alone.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
}
NOT_CODE = {"annotation", "op", "ops", "ctx", "decorator_list", "returns"}


@dataclass(frozen=True)
class Mutation:
    """One mistake."""

    line: int
    """Where it is, from 1."""
    column: int
    """Where in the line, from 1."""
    what: str
    """For people: `a < b -> a <= b`."""
    tree: Callable[[], ast.Module]
    """The whole file with the mistake in it."""
    constant: str | None
    """The module's constant that it changes; None if it is inside a function."""


def mutations(source: str) -> list[Mutation]:
    """All mistakes that this file can be given, in the order of its lines."""
    tree = ast.parse(source)
    found = []
    for path, constant in _places(tree):
        node = _at(tree, path)
        for change in _changes(node):
            what = f"{_short(node)} -> {_short(change) if change is not None else 'nothing'}"
            found.append(Mutation(*_where(node), what, _Made(tree, path, change), constant))
    return found


Path = tuple[tuple[str, int | None], ...]
"""The way to a node: fields, and positions in lists."""


@dataclass(frozen=True)
class _Made:
    """The file with one node changed, made when asked for: a tree for each of thousands would be much."""

    tree: ast.Module
    path: Path
    change: ast.AST | None

    def __call__(self) -> ast.Module:
        made = copy.deepcopy(self.tree)
        parent = _at(made, self.path[:-1])
        field, position = self.path[-1]
        change = copy.deepcopy(self.change) if self.change is not None else ast.Pass()
        ast.copy_location(change, _at(made, self.path))
        if position is None:
            setattr(parent, field, change)
        else:
            getattr(parent, field)[position] = change
        return ast.fix_missing_locations(made)


def _at(tree: ast.AST, path: Path) -> ast.AST:
    node: ast.AST = tree
    for field, position in path:
        value = getattr(node, field)
        node = value if position is None else value[position]
    return node


def _places(tree: ast.Module) -> Iterator[tuple[Path, str | None]]:
    """Nodes in the bodies of functions, and in the values of the module's constants."""

    def inside(node: ast.AST, path: Path, constant: str | None) -> Iterator[tuple[Path, str | None]]:
        if isinstance(node, ast.Raise):
            yield path, constant
            return
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for position, statement in enumerate(node.body):
                yield from inside(statement, (*path, ("body", position)), constant)
            return
        yield path, constant
        for field, value in ast.iter_fields(node):
            if field in NOT_CODE or isinstance(node, ast.JoinedStr):
                continue
            for place, child in _children(value):
                if isinstance(child, ast.AST):
                    yield from inside(child, (*path, (field, place)), constant)

    def bodies(body: list[ast.stmt], path: Path) -> Iterator[tuple[Path, str | None]]:
        for position, statement in enumerate(body):
            here: Path = (*path, ("body", position))
            if isinstance(statement, ast.FunctionDef):
                yield from inside(statement, here, None)
            elif isinstance(statement, ast.ClassDef):
                yield from bodies(statement.body, here)
            elif isinstance(statement, ast.Assign) and not path and isinstance(statement.targets[0], ast.Name):
                yield from inside(statement.value, (*here, ("value", None)), statement.targets[0].id)

    yield from bodies(tree.body, ())


def _children(value: object) -> list[tuple[int | None, object]]:
    return [*enumerate(value)] if isinstance(value, list) else [(None, value)]


def _changes(node: ast.AST) -> Iterator[ast.AST | None]:
    match node:
        case ast.Compare(ops=[only]):
            for other in COMPARISONS[type(only)]:
                yield ast.Compare(node.left, [other()], node.comparators)
        case ast.Compare(ops=several):
            for position, one in enumerate(several):
                other = COMPARISONS[type(one)][0]
                yield ast.Compare(node.left, [*several[:position], other(), *several[position + 1 :]], node.comparators)
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield ast.Constant(value + 1)
            if value > 0:
                yield ast.Constant(value - 1)
        case ast.BoolOp(values=values):
            yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), values)
            for position in range(len(values)):
                rest = [*values[:position], *values[position + 1 :]]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
        case ast.BinOp(op=operator) if type(operator) in OPERATORS:
            yield ast.BinOp(node.left, OPERATORS[type(operator)](), node.right)
        case ast.UnaryOp(op=ast.Not()):
            yield node.operand
        case ast.UnaryOp(op=ast.USub()):
            yield node.operand
        case ast.IfExp():
            yield ast.IfExp(node.test, node.orelse, node.body)
        case ast.If() if not isinstance(node.test, ast.Compare | ast.UnaryOp):
            yield ast.If(_negated(node.test), node.body, node.orelse)
        case ast.comprehension(ifs=[_, *_]):
            yield ast.comprehension(node.target, node.iter, [], node.is_async)
        case ast.Return(value=value) if value is not None and not _is_none(value):
            yield ast.Return(ast.Constant(None))
        case ast.Raise() | ast.AugAssign() | ast.Continue() | ast.Break():
            yield None
        case ast.Expr(value=value) if not isinstance(value, ast.Constant | ast.Yield | ast.YieldFrom):
            yield None
        case ast.Expr(value=ast.Yield() | ast.YieldFrom()):
            yield ast.Expr(ast.Constant(None))


def _where(node: ast.AST) -> tuple[int, int]:
    there = node.target if isinstance(node, ast.comprehension) else node
    assert isinstance(there, ast.expr | ast.stmt)
    return there.lineno, there.col_offset + 1


def _negated(test: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.Not(), test)


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _short(node: ast.AST) -> str:
    if isinstance(node, ast.If):
        return f"if {ast.unparse(node.test)}"
    if isinstance(node, ast.comprehension):
        return ast.unparse(node).strip()
    text = " ".join(ast.unparse(ast.fix_missing_locations(copy.deepcopy(node))).split())
    return text if len(text) <= 100 else f"{text[:97]}..."
