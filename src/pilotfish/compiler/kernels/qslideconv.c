/* Direct convolution in int8: vectors run along the output channels, and neighbouring pixels of a row share the inputs
 * that their windows have in common. So that these lie side by side, the inputs of a strip of output rows are copied
 * to scratch memory first, as planes' rows: [input row][channel][column]. That takes strided loads, which are slow, but
 * few: one element for 9 x n multiplications. */
#include "qslideconv.h"

#include "pf_kernel.h"
#include "qrows.h"

#if PF_RVV

#include "qslideconv_lists.h"
#include "qtile.h"

/* What the tiles of one column chunk have in common. */
struct job {
    const pf_qslideconv_args *args;
    const int16_t *w;   /* this chunk's */
    const int16_t *end; /* of the tile's reads of w */
    const int32_t *bias;
    const float *scale;
    size_t vl;
    ptrdiff_t pitch; /* elements of a row in scratch */
    int32_t clamps;  /* 1: there is a least value; 2: a greatest one */
};

/* `count` tiles one after the other, from x to y. */
typedef void tile_fn(const struct job *job, const int8_t *x, int8_t *y, int count);

#define PF_TILE(taps, stride, rows, lmul) PF_TILE_(taps, stride, rows, lmul)
#define PF_TILE_(taps, stride, rows, lmul) tile_##taps##s##stride##_##rows##x##lmul##v

#define TAPS 3
#define STRIDE 1
#define LMUL 4
#define ROWS 3
#include "qslideconv_tile.h"
#define ROWS 4
#include "qslideconv_tile.h"
#define ROWS 5
#include "qslideconv_tile.h"
#define ROWS 6
#include "qslideconv_tile.h"
#undef TAPS
#undef STRIDE
#undef LMUL

#define TAPS 3
#define STRIDE 1
#define LMUL 2
#define ROWS 7
#include "qslideconv_tile.h"
#define ROWS 8
#include "qslideconv_tile.h"
#define ROWS 10
#include "qslideconv_tile.h"
#define ROWS 11
#include "qslideconv_tile.h"
#define ROWS 12
#include "qslideconv_tile.h"
#define ROWS 13
#include "qslideconv_tile.h"
#define ROWS 14
#include "qslideconv_tile.h"
#undef TAPS
#undef STRIDE
#undef LMUL

#define TAPS 3
#define STRIDE 1
#define LMUL 1
#define ROWS 15
#include "qslideconv_tile.h"
#define ROWS 16
#include "qslideconv_tile.h"
#define ROWS 23
#include "qslideconv_tile.h"
#define ROWS 24
#include "qslideconv_tile.h"
#undef TAPS
#undef STRIDE
#undef LMUL

#define TAPS 3
#define STRIDE 2
#define LMUL 4
#define ROWS 3
#include "qslideconv_tile.h"
#define ROWS 4
#include "qslideconv_tile.h"
#define ROWS 5
#include "qslideconv_tile.h"
#define ROWS 6
#include "qslideconv_tile.h"
#undef TAPS
#undef STRIDE
#undef LMUL

#define TAPS 3
#define STRIDE 2
#define LMUL 2
#define ROWS 7
#include "qslideconv_tile.h"
#define ROWS 8
#include "qslideconv_tile.h"
#define ROWS 11
#include "qslideconv_tile.h"
#define ROWS 12
#include "qslideconv_tile.h"
#define ROWS 13
#include "qslideconv_tile.h"
#define ROWS 14
#include "qslideconv_tile.h"
#undef TAPS
#undef STRIDE
#undef LMUL

#define TAPS 3
#define STRIDE 2
#define LMUL 1
#define ROWS 15
#include "qslideconv_tile.h"
#define ROWS 16
#include "qslideconv_tile.h"
#define ROWS 23
#include "qslideconv_tile.h"
#define ROWS 24
#include "qslideconv_tile.h"
#undef TAPS
#undef STRIDE
#undef LMUL

#define TAPS 4
#define STRIDE 2
#define LMUL 4
#define ROWS 4
#include "qslideconv_tile.h"
#define ROWS 5
#include "qslideconv_tile.h"
#undef TAPS
#undef STRIDE
#undef LMUL

/* Tiles of `tall` pixels and of one less. */
struct kind {
    tile_fn *tile, *lower_tile;
    int tall, stride, lmul;
};

/* Input rows from one output row to the next. */
static int32_t rows_apart(const pf_qslideconv_args *a) {
    return a->rows > 1 ? a->x_row_stride / a->x_tap_y_stride : 1;
}

/* Copies `rows` input rows from x into scratch. */
static void gather(const pf_qslideconv_args *a, ptrdiff_t pitch, int rows, const int8_t *x, int8_t *scratch) {
    const ptrdiff_t col = a->x_tap_x_stride, channel = a->x_channel_stride;
    for (; rows > 0; rows--, x += a->x_tap_y_stride, scratch += pitch * a->channels) {
        size_t vl;
        for (ptrdiff_t at = 0; at < pitch; at += (ptrdiff_t)vl) {
            vl = __riscv_vsetvl_e8m2((size_t)(pitch - at));
            const int8_t *from = x + at * col;
            int8_t *to = scratch + at;
            PF_ROLLED
            for (int32_t k = a->channels; k > 0; k--, from += channel, to += pitch) {
                __riscv_vse8(to, __riscv_vlse8_v_i8m2(from, col, vl), vl);
            }
        }
    }
}

/* A row of outputs in the fewest tiles, of nearly one height; if they are too many, the last begins earlier. */
static void line(const struct kind *kind, const struct job *job, const int8_t *x, int8_t *y) {
    const int cols = job->args->cols, low = kind->tall - 1;
    const int tiles = (cols + low) / kind->tall, taller = PF_MAX(cols - tiles * low, 0);
    const int beyond = tiles * low + taller - cols;
    const int lower = tiles - taller - (beyond > 0);
    const ptrdiff_t y_col = job->args->y_col_stride;
    const ptrdiff_t tall = (ptrdiff_t)taller * kind->tall, last = cols - low;
    if (taller) kind->tile(job, x, y, taller);
    if (lower) kind->lower_tile(job, x + tall * kind->stride, y + tall * y_col, lower);
    if (beyond) kind->lower_tile(job, x + last * kind->stride, y + last * y_col, 1);
}

/* The output rows of one strip. */
static void strip(const struct kind *kind, const pf_qslideconv_args *a, int rows, const int8_t *x, int8_t *y,
                  void *const *buf) {
    const ptrdiff_t depth = (ptrdiff_t)a->taps_y * a->channels, x_row = rows_apart(a) * a->channels;
    const int longest = (int)__riscv_vsetvlmax_e32m1() * kind->lmul;
    struct job job = {.args = a};
    job.pitch = (ptrdiff_t)(a->cols - 1) * kind->stride + a->taps_x;
    job.clamps = (a->lo > INT8_MIN) + 2 * (a->hi < INT8_MAX);
    for (int col = 0; col < a->n; col += (int)job.vl) {
        const int block = col / a->nb, within = col % a->nb;
        job.vl = (size_t)PF_MIN(PF_MIN(a->nb - within, a->n - col), longest);
        job.w = (const int16_t *)buf[1] + block * depth * a->taps_x * a->nb + within;
        job.end = job.w + (depth + 1) * a->taps_x * a->nb;
        job.bias = (const int32_t *)buf[2] + col;
        job.scale = (const float *)buf[3] + col;
        for (int r = 0; r < rows; r++) {
            line(kind, &job, x + r * x_row * job.pitch, y + (ptrdiff_t)r * a->y_row_stride + col);
        }
    }
}

static void run(const struct kind *kind, const void *args, void *const *buf) {
    const pf_qslideconv_args *a = args;
    const ptrdiff_t pitch = (ptrdiff_t)(a->cols - 1) * kind->stride + a->taps_x;
    for (int b = 0; b < a->batch; b++) {
        const int8_t *x = (const int8_t *)buf[0] + (ptrdiff_t)b * a->x_batch_stride;
        int8_t *y = (int8_t *)buf[4] + (ptrdiff_t)b * a->y_batch_stride;
        for (int r = 0; r < a->rows; r += a->strip) {
            const int rows = PF_MIN(a->strip, a->rows - r);
            gather(a, pitch, (rows - 1) * rows_apart(a) + a->taps_y, x + (ptrdiff_t)r * a->x_row_stride,
                   buf[5]);
            strip(kind, a, rows, buf[5], y + (ptrdiff_t)r * a->y_row_stride, buf);
        }
    }
}

#define PF_SLIDECONV(TAPS, STRIDE, TALL, LOW, LMUL)                                             \
    pf_kernel qs8_qc8w_slideconv_##TAPS##s##STRIDE##_##TALL##x##LMUL##v__rvv;                   \
    void qs8_qc8w_slideconv_##TAPS##s##STRIDE##_##TALL##x##LMUL##v__rvv(const void *args,       \
                                                                        void *const *buf) {     \
        static const struct kind kind = {PF_TILE(TAPS, STRIDE, TALL, LMUL),                     \
                                         PF_TILE(TAPS, STRIDE, LOW, LMUL), TALL, STRIDE, LMUL}; \
        run(&kind, args, buf);                                                                  \
    }

PF_SLIDECONV(3, 1, 14, 13, 2)
PF_SLIDECONV(3, 1, 12, 11, 2)
PF_SLIDECONV(3, 1, 11, 10, 2)
PF_SLIDECONV(3, 1, 8, 7, 2)
PF_SLIDECONV(3, 1, 6, 5, 4)
PF_SLIDECONV(3, 1, 5, 4, 4)
PF_SLIDECONV(3, 1, 4, 3, 4)
PF_SLIDECONV(3, 1, 24, 23, 1)
PF_SLIDECONV(3, 1, 16, 15, 1)
PF_SLIDECONV(3, 2, 14, 13, 2)
PF_SLIDECONV(3, 2, 12, 11, 2)
PF_SLIDECONV(3, 2, 8, 7, 2)
PF_SLIDECONV(3, 2, 6, 5, 4)
PF_SLIDECONV(3, 2, 5, 4, 4)
PF_SLIDECONV(3, 2, 4, 3, 4)
PF_SLIDECONV(3, 2, 24, 23, 1)
PF_SLIDECONV(3, 2, 16, 15, 1)
PF_SLIDECONV(4, 2, 5, 4, 4)

#endif

/* One pixel and up to 8 output channels. */
static void scalar_pixel(const pf_qslideconv_args *a, int columns, const int8_t *x, const int16_t *w,
                         const int32_t *bias, const float *scale, int8_t *y) {
    int32_t sum[8];
    for (int c = 0; c < columns; c++) sum[c] = bias[c];
    for (int ty = 0; ty < a->taps_y; ty++) {
        for (int k = 0; k < a->channels; k++) {
            const int8_t *p = x + (ptrdiff_t)ty * a->x_tap_y_stride + (ptrdiff_t)k * a->x_channel_stride;
            for (int tx = 0; tx < a->taps_x; tx++, p += a->x_tap_x_stride, w += a->nb) {
                for (int c = 0; c < columns; c++) sum[c] += *p * w[c];
            }
        }
    }
    for (int c = 0; c < columns; c++) {
        y[c] = pf_round_s8((float)sum[c] * scale[c], a->zero, a->lo, a->hi);
    }
}

pf_kernel qs8_qc8w_slideconv_1x8__scalar;

/* The same without a copy: for targets where nothing is gained by sharing inputs. */
void qs8_qc8w_slideconv_1x8__scalar(const void *args, void *const *buf) {
    const pf_qslideconv_args *a = args;
    const ptrdiff_t depth = (ptrdiff_t)a->taps_y * a->taps_x * a->channels;
    for (int col = 0, columns; col < a->n; col += columns) {
        const int block = col / a->nb, within = col % a->nb;
        columns = PF_MIN(PF_MIN(a->nb - within, a->n - col), 8);
        const int16_t *w = (const int16_t *)buf[1] + block * depth * a->nb + within;
        for (int b = 0; b < a->batch; b++) {
            const int8_t *x_row = (const int8_t *)buf[0] + (ptrdiff_t)b * a->x_batch_stride;
            int8_t *y_row = (int8_t *)buf[4] + (ptrdiff_t)b * a->y_batch_stride + col;
            for (int r = 0; r < a->rows; r++, x_row += a->x_row_stride, y_row += a->y_row_stride) {
                const int8_t *x = x_row;
                int8_t *y = y_row;
                for (int c = 0; c < a->cols; c++, x += a->x_col_stride, y += a->y_col_stride) {
                    scalar_pixel(a, columns, x, w, (const int32_t *)buf[2] + col, (const float *)buf[3] + col,
                                 y);
                }
            }
        }
    }
}
