/* Nearest and linear resizing, from tables of the input rows and columns that each output row and column takes. */
#include "resize.h"

#include "pf_kernel.h"
#include "pf_vec.h"

typedef void copy_fn(const float *x, float *y, int32_t channels);
typedef void mix_fn(const float *x, ptrdiff_t down, ptrdiff_t right, const float *weight, float *y,
                    int32_t channels);

static void nearest(const pf_resize_args *p, void *const *buf, copy_fn *copy) {
    const int32_t *row = buf[1], *col = buf[2];
    for (int32_t b = 0; b < p->batch; b++) {
        const float *image = (const float *)buf[0] + (ptrdiff_t)b * p->x_batch_stride;
        for (int32_t r = 0; r < p->rows; r++) {
            const float *x = image + (ptrdiff_t)row[r] * p->x_row_stride;
            float *y = (float *)buf[3] + (ptrdiff_t)b * p->y_batch_stride + (ptrdiff_t)r * p->y_row_stride;
            PF_ROLLED
            for (int32_t c = 0; c < p->cols; c++, y += p->y_col_stride) {
                copy(x + (ptrdiff_t)col[c] * p->x_col_stride, y, p->channels);
            }
        }
    }
}

static void linear(const pf_resize_args *p, void *const *buf, mix_fn *mix) {
    const int32_t *row = buf[1], *col = buf[3];
    const float *row_part = buf[2], *col_part = buf[4];
    for (int32_t b = 0; b < p->batch; b++) {
        const float *image = (const float *)buf[0] + (ptrdiff_t)b * p->x_batch_stride;
        for (int32_t r = 0; r < p->rows; r++) {
            const float *x = image + (ptrdiff_t)row[2 * r] * p->x_row_stride;
            const ptrdiff_t down = (ptrdiff_t)(row[2 * r + 1] - row[2 * r]) * p->x_row_stride;
            const float lower = row_part[r], upper = 1.0f - lower;
            float *y = (float *)buf[5] + (ptrdiff_t)b * p->y_batch_stride + (ptrdiff_t)r * p->y_row_stride;
            PF_ROLLED
            for (int32_t c = 0; c < p->cols; c++, y += p->y_col_stride) {
                const ptrdiff_t right = (ptrdiff_t)(col[2 * c + 1] - col[2 * c]) * p->x_col_stride;
                const float second = col_part[c], first = 1.0f - second;
                const float weight[4] = {upper * first, upper * second, lower * first, lower * second};
                mix(x + (ptrdiff_t)col[2 * c] * p->x_col_stride, down, right, weight, y, p->channels);
            }
        }
    }
}

#if PF_RVV

#define PF_LMUL m4
#include "resize_pixel.h"
#define PF_LMUL m1
#include "resize_pixel.h"

pf_kernel f32_resize_nearest_4v__rvv, f32_resize_nearest_1v__rvv;
pf_kernel f32_resize_linear_4v__rvv, f32_resize_linear_1v__rvv;

void f32_resize_nearest_4v__rvv(const void *args, void *const *buf) {
    nearest(args, buf, pf_copy_pixel_m4);
}
void f32_resize_nearest_1v__rvv(const void *args, void *const *buf) {
    nearest(args, buf, pf_copy_pixel_m1);
}
void f32_resize_linear_4v__rvv(const void *args, void *const *buf) {
    linear(args, buf, pf_mix_pixel_m4);
}
void f32_resize_linear_1v__rvv(const void *args, void *const *buf) {
    linear(args, buf, pf_mix_pixel_m1);
}

#endif

#define PF_LMUL x1
#include "resize_pixel.h"

pf_kernel f32_resize_nearest__scalar, f32_resize_linear__scalar;

void f32_resize_nearest__scalar(const void *args, void *const *buf) {
    nearest(args, buf, pf_copy_pixel_x1);
}
void f32_resize_linear__scalar(const void *args, void *const *buf) {
    linear(args, buf, pf_mix_pixel_x1);
}
