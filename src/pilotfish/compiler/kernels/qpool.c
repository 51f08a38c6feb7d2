/* Maximum and mean pools in int8. A window is clipped to the image first, so that the loops over it test nothing. */
#include "qpool.h"

#include "pf_vec.h"
#include "pool_span.h"
#include "qrows.h"

/* The taps of one window that lie in the image. */
struct window {
    int32_t rows, cols;
    ptrdiff_t row_step, col_step; /* elements from a tap to the one below, beside it */
    int32_t channels;
    int32_t bounded; /* whether there is anything to clamp */
    int8_t lo, hi;
    int16_t zero;  /* of the output */
    int32_t start; /* of a sum: minus the zero points of the taps */
    float scale;   /* of a sum */
};

/* Reduces one window of all channels to one pixel. */
typedef void pool_fn(const struct window *w, const int8_t *x, int8_t *y);

static void pool(const pf_qpool_args *p, void *const *buf, pool_fn *reduce) {
    const int8_t *x = buf[0];
    int8_t *y = buf[1];
    struct window w = {
        .row_step = p->dilation_y * p->x_row_stride,
        .col_step = p->dilation_x * p->x_col_stride,
        .channels = p->channels,
        .bounded = p->lo > INT8_MIN || p->hi < INT8_MAX,
        .lo = (int8_t)p->lo,
        .hi = (int8_t)p->hi,
        .zero = (int16_t)p->y_zero,
    };
    int32_t counted = 0;
    PF_ROLLED for (int32_t r = 0; r < p->rows; r++) {
        const int32_t top = r * p->stride_y - p->pad_top;
        const struct span down = clip(top, p->taps_y, p->dilation_y, 0, p->in_rows);
        const int32_t counted_down =
            clip(top, p->taps_y, p->dilation_y, -p->counted_top, p->in_rows + p->counted_bottom).count;
        PF_ROLLED for (int32_t c = 0; c < p->cols; c++) {
            const int32_t left = c * p->stride_x - p->pad_left;
            const struct span across = clip(left, p->taps_x, p->dilation_x, 0, p->in_cols);
            const int32_t taps =
                counted_down *
                clip(left, p->taps_x, p->dilation_x, -p->counted_left, p->in_cols + p->counted_right).count;
            if (taps != counted) {
                counted = taps;
                w.scale = taps ? p->factor / (float)taps : 0.0f;
            }
            w.rows = across.count ? down.count : 0;
            w.cols = across.count;
            w.start = -p->x_zero * w.rows * w.cols;
            const int8_t *from = x + (top + down.first * p->dilation_y) * p->x_row_stride +
                                 (left + across.first * p->dilation_x) * p->x_col_stride;
            int8_t *to = y + r * p->y_row_stride + c * p->y_col_stride;
            PF_ROLLED for (int32_t b = 0; b < p->batch;
                           b++, from += p->x_batch_stride, to += p->y_batch_stride) {
                reduce(&w, from, to);
            }
        }
    }
}

#define PF_QPOOL(NAME, FN)                          \
    pf_kernel NAME;                                 \
    void NAME(const void *args, void *const *buf) { \
        pool(args, buf, FN);                        \
    }

#if PF_RVV

#define PF_B m2
#define PF_H m4
#define PF_W m8
#include "qpool_window.h"
#define PF_B m1
#define PF_H m2
#define PF_W m4
#include "qpool_window.h"
#define PF_B mf2
#define PF_H m1
#define PF_W m2
#include "qpool_window.h"

PF_QPOOL(qs8_maxpool_2v__rvv, largest_m2)
PF_QPOOL(qs8_maxpool_1v__rvv, largest_m1)
PF_QPOOL(qs8_avgpool_8v__rvv, mean_m2)
PF_QPOOL(qs8_avgpool_4v__rvv, mean_m1)
PF_QPOOL(qs8_avgpool_2v__rvv, mean_mf2)

#endif

static void largest_scalar(const struct window *w, const int8_t *x, int8_t *y) {
    for (int32_t k = 0; k < w->channels; k++) {
        int8_t v = INT8_MIN;
        for (int32_t r = 0; r < w->rows; r++) {
            const int8_t *p = x + k + r * w->row_step;
            PF_SCALAR_LOOP for (int32_t c = 0; c < w->cols; c++, p += w->col_step) v = PF_MAX(v, *p);
        }
        y[k] = PF_MAX(PF_MIN(v, w->hi), w->lo);
    }
}

static void mean_scalar(const struct window *w, const int8_t *x, int8_t *y) {
    for (int32_t k = 0; k < w->channels; k++) {
        int32_t sum = w->start;
        for (int32_t r = 0; r < w->rows; r++) {
            const int8_t *p = x + k + r * w->row_step;
            PF_SCALAR_LOOP for (int32_t c = 0; c < w->cols; c++, p += w->col_step) sum += *p;
        }
        y[k] = pf_round_s8((float)sum * w->scale, w->zero, w->lo, w->hi);
    }
}

PF_QPOOL(qs8_maxpool__scalar, largest_scalar)
PF_QPOOL(qs8_avgpool__scalar, mean_scalar)
