"""Ways to differentiate a solution of z = f(z), one a file; each works with every solver."""

from vars_timm.fixed_point.adjoints.implicit import Implicit
from vars_timm.fixed_point.adjoints.semi_gradient import SemiGradient
from vars_timm.fixed_point.adjoints.truncated import Truncated
from vars_timm.fixed_point.adjoints.unrolled import Unrolled
from vars_timm.fixed_point.types import Adjoint

ADJOINTS: dict[str, type[Adjoint]] = {
    "unrolled": Unrolled,
    "truncated": Truncated,
    "implicit": Implicit,
    "semi": SemiGradient,
}

__all__ = ["ADJOINTS", "Implicit", "SemiGradient", "Truncated", "Unrolled"]
