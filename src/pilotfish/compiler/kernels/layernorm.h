/* Layer normalization of rows of f32 numbers. */
#ifndef PF_LAYERNORM_H
#define PF_LAYERNORM_H

#include <stdint.h>

/* x and y are [rows, n], contiguous; scale and bias [n]. y may be x. */
typedef struct {
    int32_t rows;
    int32_t n;     /* numbers that are normalized together */
    float epsilon; /* added to the variance */
} pf_layernorm_args;

#endif
