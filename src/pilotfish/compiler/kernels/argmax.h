/* The place of the largest, or smallest, of f32 numbers along one axis. */
#ifndef PF_ARGMAX_H
#define PF_ARGMAX_H

#include <stdint.h>

/* x is f32[outer, axis, inner], y int64[outer, inner], both contiguous. */
typedef struct {
    int32_t outer;
    int32_t axis;  /* at least 1 */
    int32_t inner; /* independent neighbours */
    int32_t last;  /* 1: the last of equal numbers; 0: the first */
} pf_argmax_args;

#endif
