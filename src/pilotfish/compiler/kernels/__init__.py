"""C micro-kernels, each with a scalar twin, and the one table of them (:mod:`.table`).

A family of kernels is two files: ``NAME.c`` (with the struct of its arguments in a comment-documented
``typedef`` in ``NAME.h``) and ``NAME.py``, which holds its rows of the table: what each needs, what it costs,
what it means in NumPy, and the cases its parity test runs. Families are found by discovery.
"""
