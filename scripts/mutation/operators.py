"""Small mistakes that can be made in a module, one at a time: the mutants of its syntax tree."""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

COMPARE: dict[type, tuple[type, ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
ARITHMETIC: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}


@dataclass(frozen=True)
class Mutant:
    """One change of one place.

    Attributes:
        place: Number of the changed node, as `ast.walk` counts.
        variant: Number of the change among those of the node.
        operator: Kind of change.
        line: Line of the source, from 1.
        before: First line of the node's source.
        after: What it becomes.
    """

    place: int
    variant: int
    operator: str
    line: int
    before: str
    after: str


def _idle(node: ast.AST) -> list[ast.AST | None]:
    """Parts of a node on which no result depends: annotations, messages, decorators, imports, `__all__`."""
    match node:
        case ast.FunctionDef():
            return [node.returns, *node.decorator_list]
        case ast.ClassDef():
            return [*node.decorator_list]
        case ast.arg() | ast.AnnAssign():
            return [node.annotation]
        case ast.JoinedStr() | ast.Import() | ast.ImportFrom():
            return [node]
        case ast.Raise(exc=ast.Call() as error):
            return [error]
        case ast.If(test=ast.Name("TYPE_CHECKING")) | ast.Assign(targets=[ast.Name("__all__")]):
            return [node]
        case ast.Call(func=ast.Name("cast" | "TypeVar")):
            return [node.args[0]]
    return []


def _replacements(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What a node may become, each with the kind of change."""
    match node:
        case ast.Compare(ops=[op, *_]):
            for other in COMPARE[type(op)]:
                yield "comparison", _with(node, ops=[other(), *node.ops[1:]])
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in ARITHMETIC:
            yield "arithmetic", _with(node, op=ARITHMETIC[type(op)]())
        case ast.BoolOp(op=op):
            yield "boolean", _with(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield "sign", node.operand
        case ast.Constant(value=bool(value)):
            yield "constant", ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield "constant", ast.Constant(value + 1)
            yield "constant", ast.Constant(value - 1)
        case ast.Constant(value=float(value)):
            yield "constant", ast.Constant(value * 1.01 if value else 1.0)
        case ast.Call(args=[first, second, *rest]) if not isinstance(first, ast.Starred):
            if not isinstance(second, ast.Starred) and ast.dump(first) != ast.dump(second):
                yield "arguments", _with(node, args=[second, first, *rest])
        case ast.If() | ast.IfExp() | ast.While():
            yield "condition", _with(node, test=ast.UnaryOp(ast.Not(), node.test))
        case ast.Return(value=value) if value is not None and ast.unparse(value) != "None":
            yield "return", _with(node, value=ast.Constant(None))
    match node:
        case ast.Expr(value=ast.Call()) | ast.Assign() | ast.AugAssign() | ast.Raise():
            yield "statement", ast.Pass()


def _with(node: ast.AST, **changes: object) -> ast.AST:
    """A shallow copy with other fields."""
    changed = copy.copy(node)
    for name, value in changes.items():
        setattr(changed, name, value)
    return changed


def mutants(source: str) -> list[Mutant]:
    """All mutants of a module, in the order of its syntax tree."""
    tree = ast.parse(source)
    skipped = {id(inner) for node in ast.walk(tree) for part in _idle(node) if part for inner in ast.walk(part)}
    return [
        Mutant(place, variant, operator, getattr(node, "lineno", 0), _line(node), _line(new))
        for place, node in enumerate(ast.walk(tree))
        if id(node) not in skipped
        for variant, (operator, new) in enumerate(_replacements(node))
    ]


def mutated(source: str, mutant: Mutant) -> ast.Module:
    """The syntax tree of a module with one mutant's change."""
    tree = ast.parse(source)
    old = list(ast.walk(tree))[mutant.place]
    new = ast.copy_location(list(_replacements(old))[mutant.variant][1], old)
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, name, new)
            elif isinstance(value, list) and any(item is old for item in value):
                value[:] = [new if item is old else item for item in value]
    return ast.fix_missing_locations(tree)


def _line(node: ast.AST) -> str:
    """First line of a node's source."""
    return ast.unparse(ast.fix_missing_locations(node)).splitlines()[0]
