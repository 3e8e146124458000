"""Plausible faults of a module, one at a time: a comparison turned round, a condition forced, an argument dropped, …

Text for people is left alone, and so are annotations, decorators, lines of the log, a run's stages among them, and
what is raised; and so are types that
are written as values, in an alias, a cast or for a decoder: they are annotations by another name, which `mypy` holds.
What `isinstance` asks for is no such type: it decides what is done. Of `x if type(x) is T else f(x)` the general way is
not put in place of the short one, which is there for speed and gives the same.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, get_args

_TURNED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
_SWAPPED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.BitOr: ast.BitAnd,
            ast.BitAnd: ast.BitOr}  # fmt: skip
_EXCHANGED = {"any": "all", "all": "any", "min": "max", "max": "min", "sorted": "list", "reversed": "list"}
_NEEDLESS = {"lower", "strip", "casefold", "rstrip", "lstrip", "copy"}
"""Methods without arguments that give something like what they are called on."""
_SKIPPED = (ast.JoinedStr, ast.Raise, ast.Assert, ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal)
_HARMLESS = {"strict", "key_size", "maxlen", "gc", "stacklevel"}
"""Keyword arguments that a test cannot miss, or that only cost."""
_BUILT_IN = {name for name, value in vars(builtins).items() if isinstance(value, type)}
_TYPED = {"cast", "json.decode", "json.Decoder"}
"""What takes a type: the first argument, or `type=`."""


@dataclass(frozen=True)
class Fault:
    """What stands at `start` to `end`, octets of the file, and what it is made instead; `line` counts from 1."""

    line: int
    start: int
    end: int
    now: str
    then: str

    def in_(self, text: bytes) -> bytes:
        """The file with this fault."""
        return text[: self.start] + self.then.encode() + text[self.end :]

    def changes(self, text: bytes) -> bool:
        """Whether this makes another program of the file, and one that Python can read."""
        try:
            return ast.dump(ast.parse(self.in_(text))) != ast.dump(ast.parse(text))
        except SyntaxError:
            return False


def faults(text: bytes) -> list[Fault]:
    """What may be wrong in a module, in the order of the lines; of some hold that they change nothing (`changes`)."""
    offsets = [0]
    for line in text.splitlines(keepends=True):
        offsets.append(offsets[-1] + len(line))
    found = {}
    for node, then in _all(ast.parse(text)):
        start = offsets[node.lineno - 1] + node.col_offset
        end = offsets[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
        found[start, end, then] = Fault(node.lineno, start, end, text[start:end].decode(), then)
    return [found[key] for key in sorted(found)]


Place = ast.expr | ast.stmt
_Comprehension = ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp


def _all(node: ast.AST) -> Iterator[tuple[Place, str]]:
    """Nodes, each with what may stand in their place."""
    if isinstance(node, _SKIPPED) or _is_log(node):
        return
    if isinstance(node, ast.If | ast.While) and ast.unparse(node.test) != "TYPE_CHECKING":
        # a loop that never ends is noticed by the clock alone
        yield from ((node.test, then) for then in (("True", "False") if isinstance(node, ast.If) else ("False",)))
    elif isinstance(node, ast.stmt):
        yield from ((node, then) for then in _statement(node))
    elif isinstance(node, ast.expr):
        yield from ((node, f"({then})") for then in _expression(node))
    for child in _children(node):
        yield from _all(child)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """Whatever is run: no annotations, decorators, base classes, docstrings."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        if node.name not in {"__repr__", "__str__"}:
            *body, last = node.body
            yield from (*node.args.defaults, *filter(None, node.args.kw_defaults), *body)
            yield from ast.iter_child_nodes(last) if isinstance(last, ast.Return) else [last]
    elif isinstance(node, ast.ClassDef):
        yield from node.body
    elif isinstance(node, ast.AnnAssign):
        yield from filter(None, [node.value])
    elif isinstance(node, ast.Assign) and _is_type(node.value):
        return
    elif isinstance(node, ast.Call):
        values = [*node.args, *(each.value for each in node.keywords if each.arg not in _HARMLESS)]
        typed = ast.unparse(node.func) in _TYPED
        yield from [node.func, *(each for each in values if not (typed and _is_type(each)))]
    else:
        yield from ast.iter_child_nodes(node)


def _is_type(node: ast.expr) -> bool:
    """Whether this names a type, by itself, with parameters, or as one of several."""
    match node:
        case ast.Constant(value=None):
            return True
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in _BUILT_IN or (name[0].isupper() and not name.isupper())
        case ast.Subscript(value=value):
            return _is_type(value)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _is_type(left) and _is_type(right)
        case _:
            return False


def _is_log(node: ast.AST) -> bool:
    """Whether it tells the log something; so does a stage of a run."""
    if isinstance(node, ast.Expr):
        return _is_log(node.value)
    name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
    return name.startswith("log.") or name.endswith("observer.stage")


def _statement(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.Expr(value=ast.Constant()):
            return  # a docstring
        case ast.Expr(value=ast.Call()) | ast.Continue() | ast.Break() | ast.AugAssign():
            yield "pass"
        case ast.Expr(value=ast.Yield() | ast.YieldFrom()):
            yield "yield from ()"
        case ast.Return() | ast.Delete() | ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield "pass"
        case _:
            return


def _expression(node: ast.expr) -> Iterator[str]:
    make = _MADE.get(type(node))
    return make(node) if make else iter(())


def _compared(node: ast.Compare) -> Iterator[str]:
    """Turned round; or, among several things that something is one of, with one less."""
    left, ops, others = node.left, node.ops, node.comparators
    for place, op in enumerate(ops):
        for turned in _TURNED[type(op)]:
            yield ast.unparse(ast.Compare(left, [*ops[:place], turned(), *ops[place + 1 :]], others))
    if isinstance(ops[0], ast.In | ast.NotIn) and isinstance(others[0], ast.Tuple | ast.Set | ast.List):
        for element in others[0].elts if len(others[0].elts) > 1 else ():
            fewer: list[ast.expr] = [each for each in others[0].elts if each is not element]
            yield ast.unparse(ast.Compare(left, ops, [ast.Tuple(fewer, ast.Load())]))


def _joined(node: ast.BoolOp) -> Iterator[str]:
    """By the other word; or with one less."""
    yield ast.unparse(ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values))
    for value in node.values:
        yield ast.unparse(ast.BoolOp(node.op, [each for each in node.values if each is not value]))


def _denied(node: ast.UnaryOp) -> Iterator[str]:
    if isinstance(node.op, ast.Not):
        yield ast.unparse(node.operand)


def _chosen(node: ast.IfExp) -> Iterator[str]:
    short = ast.unparse(node.body)
    yield short
    if not (
        ast.unparse(node.test).startswith(f"type({short}) is ")
        and isinstance(node.orelse, ast.Call)
        and list(map(ast.unparse, node.orelse.args)) == [short]
    ):
        yield ast.unparse(node.orelse)


def _reckoned(node: ast.BinOp) -> Iterator[str]:
    """One side alone; or both, by the opposite."""
    if isinstance(node.op, ast.Mod):
        return
    swapped = _SWAPPED.get(type(node.op))
    if swapped and not isinstance(node.left, ast.Constant | ast.JoinedStr | ast.List | ast.Tuple):
        yield ast.unparse(ast.BinOp(node.left, swapped(), node.right))
    yield from (ast.unparse(node.left), ast.unparse(node.right))


def _constant(node: ast.Constant) -> Iterator[str]:
    """The other truth; or one more and one less, but for bounds so large that they can as well be others."""
    if isinstance(node.value, bool):
        yield str(not node.value)
    elif isinstance(node.value, int) and node.value < 100:
        yield from (str(node.value + 1), str(node.value - 1))


def _unfiltered(node: _Comprehension) -> Iterator[str]:
    """A comprehension without one of its conditions."""
    for generator in node.generators:
        kept = generator.ifs
        for condition in kept:
            generator.ifs = [each for each in kept if each is not condition]
            yield ast.unparse(node)
        generator.ifs = kept


def _called(node: ast.Call) -> Iterator[str]:
    say = ast.unparse
    if isinstance(node.func, ast.Name) and node.func.id in _EXCHANGED:
        fewer = [each for each in node.keywords if node.func.id not in {"sorted", "reversed"}]
        yield say(ast.Call(ast.Name(_EXCHANGED[node.func.id], ast.Load()), node.args, fewer))
    if isinstance(node.func, ast.Attribute) and node.func.attr in _NEEDLESS and not node.args:
        yield say(node.func.value)
    for keyword in node.keywords:
        if keyword.arg not in _HARMLESS:
            yield say(ast.Call(node.func, node.args, [each for each in node.keywords if each is not keyword]))


_MADE: dict[type[ast.expr], Callable[[Any], Iterator[str]]] = {
    ast.Compare: _compared,
    ast.BoolOp: _joined,
    ast.UnaryOp: _denied,
    ast.IfExp: _chosen,
    ast.BinOp: _reckoned,
    ast.Constant: _constant,
    ast.Call: _called,
    **dict.fromkeys(get_args(_Comprehension), _unfiltered),
}
