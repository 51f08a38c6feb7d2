/* What every kernel includes: the one signature, and small things that keep kernels short. */
#ifndef PF_KERNEL_H
#define PF_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#if defined(__riscv_vector)
#include <riscv_vector.h>
#define PF_RVV 1
#else
#define PF_RVV 0
#endif

/* All kernels have this type, so that a program is a constant table of calls. `args` points to the kernel's own
 * struct, all of it known at compile time; `buf` are its buffers, in the order that its row of the table states.
 * A kernel allocates nothing, keeps no state, and cannot fail: what could is checked when the program is made. */
typedef void pf_kernel(const void *args, void *const *buf);

#define PF_INLINE static inline __attribute__((always_inline))
/* clang unrolls and hoists loads until vector registers spill; kernels unroll by hand. */
#define PF_ROLLED _Pragma("clang loop unroll(disable) vectorize(disable)")
#define PF_UNROLLED _Pragma("clang loop unroll(full)")
/* A loop that must stay scalar: QEMU 7.2 aborts on the vector casts from float to integer that a vectorized
 * C cast makes. */
#define PF_SCALAR_LOOP _Pragma("clang loop vectorize(disable)")
/* A load that clang may not hoist over others: it keeps a group of scalar loads beside the vector load they go
 * with, and so within the register file. */
#define PF_LOAD_HERE(p) (*(const volatile __typeof__(*(p)) *)(p))

#define PF_MIN(a, b) ((a) < (b) ? (a) : (b))
#define PF_MAX(a, b) ((a) > (b) ? (a) : (b))

#endif
