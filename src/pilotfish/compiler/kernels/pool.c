/* Maximum and mean pools. A window is clipped to the image first, so that the loops over it test nothing. Means of f16
 * are summed in f32. */
#include "pool.h"

#include "pf_half.h"
#include "pf_real.h"
#include "pf_vec.h"
#include "pool_span.h"

/* The taps of one window that lie in the image. */
struct window {
    int32_t rows, cols;
    ptrdiff_t row_step, col_step; /* elements from a tap to the one below, beside it */
    int32_t channels;
    int bounded; /* whether there is anything to clamp */
    float lo, hi;
    float scale; /* 1 / (taps that count in the mean) */
};

/* Reduces one window of all channels to one pixel. */
typedef void pool_fn(const struct window *w, const pf_real *x, pf_real *y);

static void pool(const pf_pool_args *p, void *const *buf, pool_fn *reduce) {
    const pf_real *x = buf[0];
    pf_real *y = buf[1];
    struct window w = {
        .row_step = p->dilation_y * p->x_row_stride,
        .col_step = p->dilation_x * p->x_col_stride,
        .channels = p->channels,
        .bounded = p->lo > -__builtin_inff() || p->hi < __builtin_inff(),
        .lo = p->lo,
        .hi = p->hi,
    };
    int32_t counted = 0;
    PF_ROLLED
    for (int32_t r = 0; r < p->rows; r++) {
        const int32_t top = r * p->stride_y - p->pad_top;
        const struct span down = clip(top, p->taps_y, p->dilation_y, 0, p->in_rows);
        const int32_t counted_down =
            clip(top, p->taps_y, p->dilation_y, -p->counted_top, p->in_rows + p->counted_bottom).count;
        PF_ROLLED
        for (int32_t c = 0; c < p->cols; c++) {
            const int32_t left = c * p->stride_x - p->pad_left;
            const struct span across = clip(left, p->taps_x, p->dilation_x, 0, p->in_cols);
            const int32_t taps =
                counted_down *
                clip(left, p->taps_x, p->dilation_x, -p->counted_left, p->in_cols + p->counted_right).count;
            if (taps != counted) {
                counted = taps;
                w.scale = taps ? 1.0f / (float)taps : 0.0f;
            }
            w.rows = across.count ? down.count : 0;
            w.cols = across.count;
            const pf_real *from = x + (top + down.first * p->dilation_y) * p->x_row_stride +
                                  (left + across.first * p->dilation_x) * p->x_col_stride;
            pf_real *to = y + r * p->y_row_stride + c * p->y_col_stride;
            PF_ROLLED
            for (int32_t b = 0; b < p->batch; b++, from += p->x_batch_stride, to += p->y_batch_stride) {
                reduce(&w, from, to);
            }
        }
    }
}

#if PF_RVV_REALS

#define LMUL 4
#include "pool_window.h"
#define LMUL 2
#include "pool_window.h"
#define LMUL 1
#include "pool_window.h"

#define PF_POOLS(KIND, REDUCE)                                                           \
    pf_kernel PF_NAME(KIND##_4v__rvv), PF_NAME(KIND##_2v__rvv), PF_NAME(KIND##_1v__rvv); \
    void PF_NAME(KIND##_4v__rvv)(const void *args, void *const *buf) {                   \
        pool(args, buf, REDUCE##_m4);                                                    \
    }                                                                                    \
    void PF_NAME(KIND##_2v__rvv)(const void *args, void *const *buf) {                   \
        pool(args, buf, REDUCE##_m2);                                                    \
    }                                                                                    \
    void PF_NAME(KIND##_1v__rvv)(const void *args, void *const *buf) {                   \
        pool(args, buf, REDUCE##_m1);                                                    \
    }
PF_POOLS(maxpool, pool_max)
PF_POOLS(avgpool, pool_mean)

#endif

/* Sixteen channels at a time in an array, which clang makes vectors of on the host. */
#define PF_POOL_SCALAR(NAME, START, TAP, END)                                                             \
    static void NAME(const struct window *w, const pf_real *x, pf_real *y) {                              \
        for (int32_t k = 0; k < w->channels; k += 16) {                                                   \
            const int32_t n = PF_MIN(w->channels - k, 16);                                                \
            float sum[16];                                                                                \
            for (int32_t i = 0; i < 16; i++) sum[i] = START;                                              \
            for (int32_t r = 0; r < w->rows; r++) {                                                       \
                const pf_real *p = x + r * w->row_step + k;                                               \
                for (int32_t c = 0; c < w->cols; c++, p += w->col_step) {                                 \
                    if (n == 16) {                                                                        \
                        for (int32_t i = 0; i < 16; i++) sum[i] = TAP(sum[i], (float)p[i]);               \
                    } else {                                                                              \
                        PF_SCALAR_LOOP for (int32_t i = 0; i < n; i++) sum[i] = TAP(sum[i], (float)p[i]); \
                    }                                                                                     \
                }                                                                                         \
            }                                                                                             \
            PF_SCALAR_LOOP for (int32_t i = 0; i < n; i++) {                                              \
                const float v = END(sum[i]);                                                              \
                y[k + i] = (pf_real)(v > w->lo ? (v < w->hi ? v : w->hi) : w->lo);                        \
            }                                                                                             \
        }                                                                                                 \
    }

#define LARGER(a, b) ((b) > (a) ? (b) : (a))
#define AS_IT_IS(a) (a)
#define SUM(a, b) ((a) + (b))
#define SCALED(a) ((a) * w->scale)

PF_POOL_SCALAR(pool_max_scalar, -__builtin_inff(), LARGER, AS_IT_IS)
PF_POOL_SCALAR(pool_mean_scalar, 0.0f, SUM, SCALED)

pf_kernel PF_NAME(maxpool__scalar), PF_NAME(avgpool__scalar);

void PF_NAME(maxpool__scalar)(const void *args, void *const *buf) {
    pool(args, buf, pool_max_scalar);
}
void PF_NAME(avgpool__scalar)(const void *args, void *const *buf) {
    pool(args, buf, pool_mean_scalar);
}
