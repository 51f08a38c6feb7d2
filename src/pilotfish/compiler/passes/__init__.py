"""Graph to graph, one file a pass, pure functions. :func:`optimize` is their order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pilotfish.compiler.graph import Graph
from pilotfish.compiler.passes.affine import fold_affine
from pilotfish.compiler.passes.canonical import canonicalize
from pilotfish.compiler.passes.checked import check_operators
from pilotfish.compiler.passes.clamp import fuse_clamp
from pilotfish.compiler.passes.convpool import fuse_convpool
from pilotfish.compiler.passes.einsum import expand_einsum
from pilotfish.compiler.passes.elementwise import fuse as fuse_elementwise
from pilotfish.compiler.passes.halo import choose_algorithms, place_halos
from pilotfish.compiler.passes.integer_rules import to_integer
from pilotfish.compiler.passes.layout import to_channels_last
from pilotfish.compiler.passes.normalization import expand_normalization
from pilotfish.compiler.passes.precision import to_half
from pilotfish.compiler.passes.preprocess import fuse_preprocess
from pilotfish.compiler.passes.qlinear import to_qdq
from pilotfish.compiler.passes.reductions import keep_dimensions
from pilotfish.compiler.passes.shuffle import fuse_shuffle
from pilotfish.compiler.passes.transposes import fold_transposes
from pilotfish.compiler.passes.widen import widen
from pilotfish.compiler.targets import Target

Pass = Callable[[Graph, Target], Graph]

PASSES: tuple[tuple[str, Pass], ...] = (
    ("to_qdq", lambda g, _: to_qdq(g)),
    ("to_integer", lambda g, _: to_integer(g)),
    ("fuse_preprocess", lambda g, _: fuse_preprocess(g)),
    ("check_operators", lambda g, _: check_operators(g)),
    ("expand_einsum", lambda g, _: expand_einsum(g)),
    ("canonicalize", lambda g, _: canonicalize(g)),
    ("fold_affine", lambda g, _: fold_affine(g)),
    ("expand_normalization", lambda g, _: expand_normalization(g)),
    ("keep_dimensions", lambda g, _: keep_dimensions(g)),
    ("fuse_clamp", lambda g, _: fuse_clamp(g)),
    ("fuse_convpool", fuse_convpool),
    ("fuse_shuffle", lambda g, _: fuse_shuffle(g)),
    ("to_channels_last", to_channels_last),
    ("fold_transposes", lambda g, _: fold_transposes(g)),
    ("fuse_elementwise", lambda g, _: fuse_elementwise(g)),
    ("choose_algorithms", choose_algorithms),
    ("place_halos", place_halos),
)
"""Name and function of each pass, in the order in which they run."""

Precision = Literal["fp32", "fp16"]


def chosen(precision: Precision = "fp32") -> tuple[tuple[str, Pass], ...]:
    """The passes for a precision: for ``"fp16"`` ``widen`` first, and ``to_half`` before algorithms are chosen."""
    if precision == "fp32":
        return PASSES
    at = [name for name, _ in PASSES].index("choose_algorithms")
    return (("widen", lambda g, _: widen(g)), *PASSES[:at], ("to_half", to_half), *PASSES[at:])


def optimize(graph: Graph, target: Target, precision: Precision = "fp32") -> Graph:
    """All passes, in order."""
    for _name, run in chosen(precision):
        graph = run(graph, target).validated()
    return graph
