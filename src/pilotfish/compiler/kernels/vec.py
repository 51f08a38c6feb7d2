"""The operations of ``pf_vec.h`` and ``pf_math.h`` as data, for the generator of elementwise loops.

A generated loop handles one vector after another: loads, the chain of operations below, stores. The *width* is
``m1``, ``m2``, ``m4``, ``m8`` (RVV register groups) or ``x1`` (one float: the scalar form). What each operation
means and how exact it is stands in the headers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

GROUPS = 32
"""Vector registers; a width ``m4`` has 8 groups of them."""
MAPPED_MAX = 64
"""Most elements of a vector in a loop with a ``mapped`` operation: ``PF_MAPPED_MAX``."""


@dataclass(frozen=True)
class VectorOp:
    """One operation, ``pf_<name>_<width>`` in C.

    ``takes`` has a letter for each argument: ``f`` a vector, ``m`` a mask, ``s`` a scalar float; ``gives`` is
    ``f`` or ``m``. ``vectors`` is the number of RVV instructions, each costing its LMUL in slots (for a mapped
    operation what is done in vectors: the calls come on top). ``groups`` is how many register groups it holds at
    its peak, as clang allocates them, its operands, which live on, and its result among them: a loop fits LMUL
    ``l`` if ``groups`` and the other live values come to at most ``32 / l``. ``scalar_last`` and ``scalar_first``
    name the forms that take a scalar in place of the last or the first of two vectors; in both the vector comes
    first. A ``mapped`` operation calls libm for each element, and needs ``vlmapped`` for ``vl``.
    """

    name: str
    takes: str
    gives: str = "f"
    vectors: int = 1
    groups: int = 3
    scalar_last: str = ""
    scalar_first: str = ""
    mapped: bool = False

    def call(self, width: str, arguments: Sequence[str]) -> str:
        """The C expression. Raises ``TypeError`` on a wrong number of arguments."""
        if len(arguments) != len(self.takes):
            raise TypeError(f"{self.name} takes {len(self.takes)} arguments, not {len(arguments)}")
        return f"pf_{self.name}_{width}({', '.join(arguments)}, vl)"

    def slots(self, lmul: int) -> int:
        """Slots of one vector at an LMUL."""
        return self.vectors * lmul


def vector_type(width: str, kind: str = "f") -> str:
    """The C type of a vector (``f``) or a mask (``m``)."""
    return f"pf_{'v' if kind == 'f' else 'm'}_{width}"


_BINARY = [
    VectorOp("add", "ff", scalar_last="adds", scalar_first="adds"),
    VectorOp("sub", "ff", scalar_last="subs", scalar_first="rsubs"),
    VectorOp("mul", "ff", scalar_last="muls", scalar_first="muls"),
    VectorOp("div", "ff", scalar_last="divs", scalar_first="rdivs"),
    VectorOp("max", "ff", vectors=4, groups=4),
    VectorOp("min", "ff", vectors=4, groups=4),
    VectorOp("maxnum", "ff", scalar_last="maxnums", scalar_first="maxnums"),
    VectorOp("minnum", "ff", scalar_last="minnums", scalar_first="minnums"),
    VectorOp("prelu", "ff", vectors=2, groups=4),
    VectorOp("copysign", "ff"),
    VectorOp("lt", "ff", "m", groups=4, scalar_last="lts", scalar_first="gts"),
    VectorOp("le", "ff", "m", groups=4, scalar_last="les", scalar_first="ges"),
    VectorOp("gt", "ff", "m", groups=4, scalar_last="gts", scalar_first="lts"),
    VectorOp("ge", "ff", "m", groups=4, scalar_last="ges", scalar_first="les"),
    VectorOp("eq", "ff", "m", groups=4, scalar_last="eqs", scalar_first="eqs"),
    VectorOp("ne", "ff", "m", groups=4, scalar_last="nes", scalar_first="nes"),
    VectorOp("pow", "ff", mapped=True, vectors=3),
    VectorOp("fmod", "ff", mapped=True, vectors=3),
]
_WITH_SCALAR = [
    *(VectorOp(n, "fs") for n in ("adds", "subs", "muls", "divs", "rsubs", "rdivs", "maxnums", "minnums")),
    *(VectorOp(n, "fs", vectors=2) for n in ("maxs", "mins")),
    *(VectorOp(n, "fs", "m") for n in ("lts", "les", "gts", "ges", "eqs", "nes")),
    VectorOp("fma", "fff", groups=4),
    VectorOp("nfma", "fff", groups=4),
    VectorOp("fmas", "fsf"),
    VectorOp("nfmas", "fsf"),
]
_MASKS = [
    *(VectorOp(n, "mm", "m") for n in ("and", "or", "xor")),
    VectorOp("not", "m", "m"),
    VectorOp("select", "mff", groups=4),
    VectorOp("selects", "msf"),
    VectorOp("isnan", "f", "m"),
    VectorOp("isinf", "f", "m", vectors=2),
]
_EXACT = [
    *(VectorOp(n, "f") for n in ("neg", "abs", "sqrt", "relu")),
    *(VectorOp(n, "f", vectors=5, groups=4) for n in ("floor", "ceil", "round", "trunc")),
    VectorOp("sign", "f", vectors=4, groups=4),
    VectorOp("clip", "fss", vectors=2),
    VectorOp("clamp", "fss", vectors=3),
]
_MATH = [
    VectorOp("exp", "f", vectors=19, groups=6),
    VectorOp("expneg", "f", vectors=17, groups=6),
    VectorOp("expm1neg", "f", vectors=18, groups=6),
    VectorOp("expm1", "f", vectors=20, groups=6),
    VectorOp("sigmoid", "f", vectors=26, groups=6),
    VectorOp("tanh", "f", vectors=29, groups=6),
    VectorOp("erf", "f", vectors=33, groups=6),
    VectorOp("log", "f", vectors=29, groups=6),
    VectorOp("log1p", "f", vectors=36, groups=7),
    VectorOp("softplus", "f", vectors=39, groups=8),
    VectorOp("mish", "f", vectors=30, groups=6),
    VectorOp("gelu", "f", vectors=36, groups=7),
    VectorOp("gelutanh", "f", vectors=31, groups=6),
    VectorOp("silu", "fs", vectors=28, groups=6),
    VectorOp("elu", "fs", vectors=21, groups=7),
    VectorOp("celu", "fs", vectors=22, groups=7),
    VectorOp("selu", "fss", vectors=22, groups=7),
    VectorOp("leaky", "fs", vectors=2),
    VectorOp("thresholded", "fs", vectors=2),
    VectorOp("hardsigmoid", "fss", vectors=4),
    VectorOp("hardswish", "f", vectors=5),
    VectorOp("softsign", "f", vectors=3),
]
_LIBM = ["sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh"]

HALF = frozenset({
    *(op.name for op in (*_BINARY, *_WITH_SCALAR, *_MASKS) if not op.mapped),
    "neg", "abs", "sqrt", "relu", "sign", "clip", "clamp",
    "leaky", "thresholded", "hardsigmoid", "hardswish", "softsign",
})  # fmt: skip
"""Operations that float16 vectors have too (``pf_half.h``)."""

OPS: dict[str, VectorOp] = {
    op.name: op
    for op in (
        *_BINARY,
        *_WITH_SCALAR,
        *_MASKS,
        *_EXACT,
        *_MATH,
        *(VectorOp(name, "f", mapped=True, vectors=2 if name != "acosh" else 4) for name in _LIBM),
    )
}
