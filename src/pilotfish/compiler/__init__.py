"""A trained network becomes C code: import, rewrite, pick kernels, plan memory, generate."""
