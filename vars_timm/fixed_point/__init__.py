"""z = f(z): how to solve it, and, apart from that, how to differentiate the solution."""

from vars_timm.fixed_point.adjoints import Implicit, SemiGradient, Truncated, Unrolled
from vars_timm.fixed_point.solution import Solution
from vars_timm.fixed_point.solve import solve
from vars_timm.fixed_point.solvers import RK4, Anderson, Nesterov, Newton, Picard
from vars_timm.fixed_point.types import Adjoint, Solver

__all__ = [
    "RK4",
    "Adjoint",
    "Anderson",
    "Implicit",
    "Nesterov",
    "Newton",
    "Picard",
    "SemiGradient",
    "Solution",
    "Solver",
    "Truncated",
    "Unrolled",
    "solve",
]
