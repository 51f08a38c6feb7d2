/* Direct convolution of few input channels: vectors run along the output channels, and neighbouring pixels share the
 * inputs that their windows have in common. */
#include "firstconv.h"

#include "pf_real.h"

/* What the rows of an image have in common, for one chunk of output channels. */
struct job {
    const pf_firstconv_args *args;
    const pf_real *w;
    const pf_real *bias;
    size_t vl;
    int clamp_lo, clamp_hi;
};

/* One image, from x to y. */
typedef void image_fn(const struct job *job, const pf_real *x, pf_real *y);

/* All images and channels, in chunks of at most `longest` channels that lie in one block of w. */
static void run(const void *args, void *const *buf, size_t longest, image_fn *image) {
    const pf_firstconv_args *a = args;
    const ptrdiff_t depth = (ptrdiff_t)a->taps_y * a->taps_x * a->channels;
    struct job job = {.args = a, .clamp_lo = a->lo > -__builtin_inff(), .clamp_hi = a->hi < __builtin_inff()};
    for (int32_t col = 0; col < a->n; col += (int32_t)job.vl) {
        const int32_t block = col / a->nb, within = col % a->nb;
        const size_t left = (size_t)PF_MIN(a->nb - within, a->n - col);
        job.vl = PF_MIN(left, longest);
        job.w = (const pf_real *)buf[1] + block * depth * a->nb + within;
        job.bias = (const pf_real *)buf[2] + col;
        for (int32_t b = 0; b < a->batch; b++) {
            image(&job, (const pf_real *)buf[0] + (ptrdiff_t)b * a->x_batch_stride,
                  (pf_real *)buf[3] + (ptrdiff_t)b * a->y_batch_stride + col);
        }
    }
}

#if PF_RVV_REALS

#define PF_JOIN(a, b, c) PF_JOIN_(a, b, c)
#define PF_JOIN_(a, b, c) a##b##c
#define PF_TILE(part) PF_TILE_(TAPS, STRIDE, ROWS, LMUL, part)
#define PF_TILE_(taps, stride, rows, lmul, part) PF_TILE__(taps, stride, rows, lmul, part)
#define PF_TILE__(taps, stride, rows, lmul, part) firstconv_##taps##s##stride##_##rows##x##lmul##v_##part

#define ROLL5(X) X(0) X(1) X(2) X(3) X(4)
#define ROLL6(X) ROLL5(X) X(5)
#define ROLL7(X) ROLL6(X) X(6)
#define ROLL11(X) ROLL7(X) X(7) X(8) X(9) X(10)
#define ROLL12(X) ROLL11(X) X(11)
#define ROLL16(X) ROLL12(X) X(12) X(13) X(14) X(15)
#define ROLL24(X) ROLL16(X) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23)

#define TAPS 3
#define STRIDE 1
#define ROWS 7
#define LMUL 4
#define ROLL ROLL7
#include "firstconv_tile.h"

#define TAPS 3
#define STRIDE 1
#define ROWS 12
#define LMUL 2
#define ROLL ROLL12
#include "firstconv_tile.h"

#define TAPS 3
#define STRIDE 1
#define ROWS 11
#define LMUL 2
#define ROLL ROLL11
#include "firstconv_tile.h"

#define TAPS 3
#define STRIDE 1
#define ROWS 24
#define LMUL 1
#define ROLL ROLL24
#include "firstconv_tile.h"

#define TAPS 3
#define STRIDE 2
#define ROWS 6
#define LMUL 4
#define ROLL ROLL6
#include "firstconv_tile.h"

#define TAPS 3
#define STRIDE 2
#define ROWS 7
#define LMUL 4
#define ROLL ROLL7
#include "firstconv_tile.h"

#define TAPS 3
#define STRIDE 2
#define ROWS 12
#define LMUL 2
#define ROLL ROLL12
#include "firstconv_tile.h"

#define TAPS 3
#define STRIDE 2
#define ROWS 24
#define LMUL 1
#define ROLL ROLL24
#include "firstconv_tile.h"

#define TAPS 4
#define STRIDE 2
#define ROWS 5
#define LMUL 4
#define ROLL ROLL5
#include "firstconv_tile.h"

#define TAPS 7
#define STRIDE 2
#define ROWS 6
#define LMUL 4
#define ROLL ROLL6
#include "firstconv_tile.h"

#define PF_FIRSTCONV(KIND, LMUL)                                                \
    pf_kernel PF_NAME(firstconv_##KIND##__rvv);                                 \
    void PF_NAME(firstconv_##KIND##__rvv)(const void *args, void *const *buf) { \
        run(args, buf, PF_VLMAX_REAL(LMUL), firstconv_##KIND##_images);         \
    }

PF_FIRSTCONV(3s1_7x4v, 4)
PF_FIRSTCONV(3s1_12x2v, 2)
PF_FIRSTCONV(3s1_11x2v, 2)
PF_FIRSTCONV(3s1_24x1v, 1)
PF_FIRSTCONV(3s2_6x4v, 4)
PF_FIRSTCONV(3s2_7x4v, 4)
PF_FIRSTCONV(3s2_12x2v, 2)
PF_FIRSTCONV(3s2_24x1v, 1)
PF_FIRSTCONV(4s2_5x4v, 4)
PF_FIRSTCONV(7s2_6x4v, 4)

#endif

/* `pixels` by `columns` output channels, both constants. */
PF_INLINE void scalar_tile(const int pixels, const int columns, const struct job *job, const pf_real *x,
                           pf_real *y) {
    const pf_firstconv_args *a = job->args;
    const ptrdiff_t x_col = a->x_col_stride, x_tap = a->x_tap_x_stride, y_col = a->y_col_stride, nb = a->nb;
    const pf_real *w = job->w;
    float sum[4][4];
    for (int r = 0; r < pixels; r++) {
        for (int c = 0; c < columns; c++) sum[r][c] = job->bias[c];
    }
    for (int32_t ty = 0; ty < a->taps_y; ty++) {
        for (int32_t k = 0; k < a->channels; k++) {
            const pf_real *p[4];
            for (int r = 0; r < pixels; r++) {
                p[r] = x + (ptrdiff_t)ty * a->x_tap_y_stride + (ptrdiff_t)k * a->x_channel_stride + r * x_col;
            }
            PF_ROLLED
            for (int32_t tx = a->taps_x; tx > 0; tx--, w += nb) {
                for (int r = 0; r < pixels; r++) {
                    for (int c = 0; c < columns; c++) sum[r][c] += (float)*p[r] * (float)w[c];
                    p[r] += x_tap;
                }
            }
        }
    }
    const float lo = a->lo, hi = a->hi;
    for (int r = 0; r < pixels; r++) {
        for (int c = 0; c < columns; c++) {
            const float low = sum[r][c] > lo ? sum[r][c] : lo;
            y[r * y_col + c] = (pf_real)(low < hi ? low : hi);
        }
    }
}

/* An image in tiles of up to 4 pixels. */
PF_INLINE void scalar_image(const int columns, const struct job *job, const pf_real *x, pf_real *y) {
    const pf_firstconv_args *a = job->args;
    for (int32_t r = 0; r < a->rows; r++, x += a->x_row_stride, y += a->y_row_stride) {
        int32_t c = 0;
        for (; c + 4 <= a->cols; c += 4) {
            scalar_tile(4, columns, job, x + (ptrdiff_t)c * a->x_col_stride,
                        y + (ptrdiff_t)c * a->y_col_stride);
        }
        for (; c < a->cols; c++) {
            scalar_tile(1, columns, job, x + (ptrdiff_t)c * a->x_col_stride,
                        y + (ptrdiff_t)c * a->y_col_stride);
        }
    }
}

/* Four channels, or as many as there are one by one. */
static void scalar_chunk(const struct job *job, const pf_real *x, pf_real *y) {
    if (job->vl == 4) {
        scalar_image(4, job, x, y);
        return;
    }
    for (size_t i = 0; i < job->vl; i++) {
        struct job one = *job;
        one.w += i;
        one.bias += i;
        scalar_image(1, &one, x, y + i);
    }
}

pf_kernel PF_NAME(firstconv_4x4__scalar);

void PF_NAME(firstconv_4x4__scalar)(const void *args, void *const *buf) {
    run(args, buf, 4, scalar_chunk);
}
