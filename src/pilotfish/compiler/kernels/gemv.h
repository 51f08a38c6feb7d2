/* The product of one row and a matrix, in f32: y[j] = clamp(bias[j] + sum of x[i] w[i, j]). */
#ifndef PF_GEMV_H
#define PF_GEMV_H

#include <stdint.h>

/* The weights are in blocks of nb columns, w[j / nb][i][j % nb], or, for few columns, transposed: w[j][i]. */
typedef struct {
    int32_t k;  /* elements of x */
    int32_t n;  /* elements of y */
    int32_t nb; /* columns of a block; 0: the weights are transposed */
    float lo;   /* least value, or -infinity */
    float hi;   /* greatest value, or infinity */
} pf_gemv_args;

#endif
