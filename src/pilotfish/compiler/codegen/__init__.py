"""A program becomes C: constant tables of kernel calls, generated loops, and the public header."""

from pilotfish.compiler.codegen.model import Sources, generate

__all__ = ["Sources", "generate"]
