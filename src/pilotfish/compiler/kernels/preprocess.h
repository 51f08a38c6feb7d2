/* Arguments of the kernels that turn the bytes of images into what a network takes. */
#ifndef PF_PREPROCESS_H
#define PF_PREPROCESS_H

#include <stdint.h>

/* Rows of n bytes, channels side by side; byte i of a row belongs to channel i modulo period.
 *   f32    y = x * factor + offset                     constants: float factor[packed], offset[packed]
 *   qs8    y = s8(round(x * factor + offset))          the same; ties to even, saturated
 *   lut    y = table[channel][x]                       uint16_t starts[packed] (256 * channel), int8_t table[period][256]
 * The first two store the constants over whole periods, for as many lanes as a target's vectors have. Buffers:
 * x, constants, y.
 *
 * Resized rows are first interpolated to bytes: with t = x[row] * (256 - down) + x[row + 1] * down, the byte
 * (t[col] * (256 - right) + t[col + step] * right + 2^15) >> 16. Buffers: x, constants, rows (int32_t[rows][2]: row, down),
 * cols (uint16_t[n]: twice the element of t), right (uint16_t[n]), y, scratch (2 * (span + step) + n bytes).
 * With a span of 0 the byte is x[row][cols[i]]: channels in another order. */
typedef struct {
    int32_t batch, rows, n;
    int32_t period, packed;
    int32_t span, step; /* elements of an input row that are read; from a pixel to the next */
    int64_t x_batch_stride, x_row_stride, y_batch_stride, y_row_stride; /* elements */
} pf_preprocess_args;

#endif
