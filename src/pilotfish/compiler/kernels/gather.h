/* Arguments of the kernels that pick slices by run-time indices. */
#ifndef PF_GATHER_H
#define PF_GATHER_H

#include <stdint.h>

/* y[o][j][i] = x[o][indices[j]][i], all contiguous. A negative index counts from the end; one outside of the
 * axis takes the nearest end, so that no input makes the kernel read elsewhere. Buffers: x, indices, y. */
typedef struct {
    int64_t outer;
    int64_t axis;    /* size of the dimension that is indexed */
    int64_t indices; /* how many */
    int64_t inner;   /* elements of a slice */
    int32_t wide;    /* whether indices are 64 bits, else 32 */
} pf_gather_args;

#endif
