/* Softmax and its logarithm along one axis of f32 numbers. */
#ifndef PF_SOFTMAX_H
#define PF_SOFTMAX_H

#include <stdint.h>

/* Both tensors are [outer, axis, inner]; their rows of axis * inner numbers are contiguous. y may be x. */
typedef struct {
    int32_t outer;
    int32_t axis;  /* numbers that come to the sum 1 */
    int32_t inner; /* independent neighbours */
    int32_t xs;    /* elements from one outer row of x to the next */
    int32_t ys;    /* of y */
    int32_t log;   /* 1: the logarithm */
} pf_softmax_args;

#endif
