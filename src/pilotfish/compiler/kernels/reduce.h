/* Reductions of f32 numbers along one axis: sum, sum of squares or of absolute values, product, maximum, minimum,
 * logarithm of the sum of exponentials. */
#ifndef PF_REDUCE_H
#define PF_REDUCE_H

#include <stdint.h>

enum { PF_REDUCE_NOTHING, PF_REDUCE_SQRT, PF_REDUCE_LOG };

/* x is [outer, axis, inner], y [outer, inner], both contiguous. */
typedef struct {
    int32_t outer;
    int32_t axis;   /* numbers that become one; at least 1 */
    int32_t inner;  /* independent neighbours */
    int32_t finish; /* of sums: what is done to each, after scaling (PF_REDUCE_*) */
    float scale;    /* of sums: what each is multiplied by */
} pf_reduce_args;

#endif
