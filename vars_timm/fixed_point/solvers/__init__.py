"""Ways to reach z = f(z), one a file."""

from vars_timm.fixed_point.solvers.anderson import Anderson
from vars_timm.fixed_point.solvers.nesterov import Nesterov
from vars_timm.fixed_point.solvers.newton import Newton
from vars_timm.fixed_point.solvers.picard import Picard
from vars_timm.fixed_point.solvers.rk4 import RK4
from vars_timm.fixed_point.types import Solver

SOLVERS: dict[str, type[Solver]] = {
    "picard": Picard,
    "rk4": RK4,
    "anderson": Anderson,
    "nesterov": Nesterov,
    "newton": Newton,
}

__all__ = ["RK4", "SOLVERS", "Anderson", "Nesterov", "Newton", "Picard"]
