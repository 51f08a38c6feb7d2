/* Matrix products and convolutions in int8. Column blocks are the outer loop and tiles of pixels the inner one, so
 * that a block of weights stays in the cache while the image passes. */
#include "qigemm.h"

#include "pf_kernel.h"
#include "qrows.h"

enum { SIZES = 6, ROWS_AT = SIZES, STEPS_AT = SIZES + 1 }; /* words of a block's head */

pf_kernel qs8_qc8w_igemm_4x4__scalar, qs8_qc8w_igemm_dot4__rvv;

/* An image whose rows or columns lie at one distance is a single long row. */
static pf_qigemm_args flattened(const pf_qigemm_args *given) {
    pf_qigemm_args a = *given;
    if (a.cols == 1) {
        a.cols = a.rows;
        a.x_col_stride = a.x_row_stride;
        a.y_col_stride = a.y_row_stride;
        a.rows = 1;
    } else if (a.x_row_stride == a.cols * a.x_col_stride && a.y_row_stride == a.cols * a.y_col_stride) {
        a.cols *= a.rows;
        a.rows = 1;
    }
    if (a.rows == 1) { /* then images may be rows */
        a.rows = a.batch;
        a.x_row_stride = a.x_batch_stride;
        a.y_row_stride = a.y_batch_stride;
        a.batch = 1;
        if (a.x_row_stride == a.cols * a.x_col_stride && a.y_row_stride == a.cols * a.y_col_stride) {
            a.cols *= a.rows;
            a.rows = 1;
        }
    }
    return a;
}

static const int32_t *block_at(const void *w, int block) {
    const int32_t *words = w;
    return words + words[block] / 4;
}

#if PF_RVV

enum { HEIGHT_MAX = 16 };

/* What the tiles of one column chunk have in common. */
struct job {
    const pf_qigemm_args *args;
    const int32_t *block;
    const int8_t *w;
    const int32_t *bias;
    const float *scale;
    size_t vl;
    int32_t clamps; /* 1: there is a least value; 2: a greatest one */
    int crossing;   /* the tile's pixels are not at one distance: they are at x[] and y[] */
    const int8_t *x[HEIGHT_MAX];
    int8_t *y[HEIGHT_MAX];
};

/* `count` tiles one after the other, from x to y. */
typedef void tile_fn(const struct job *job, const int8_t *x, int8_t *y, int count);

#define PF_JOIN(a, b, c) PF_JOIN_(a, b, c)
#define PF_JOIN_(a, b, c) a##b##c
#define PF_TEXT(a) PF_TEXT_(a)
#define PF_TEXT_(a) #a
#define ROLL1(X, a) X(0, a)
#define ROLL2(X, a) ROLL1(X, a) X(1, a)
#define ROLL3(X, a) ROLL2(X, a) X(2, a)
#define ROLL4(X, a) ROLL3(X, a) X(3, a)
#define ROLL5(X, a) ROLL4(X, a) X(4, a)
#define ROLL6(X, a) ROLL5(X, a) X(5, a)
#define ROLL8(X, a) ROLL6(X, a) X(6, a) X(7, a)
#define ROLL10(X, a) ROLL8(X, a) X(8, a) X(9, a)
#define ROLL12(X, a) ROLL10(X, a) X(10, a) X(11, a)
#define NO_LOW(X, a)
#define HIGH1(X, a) X(0, 0, 0, a)
#define HIGH2(X, a) HIGH1(X, a) X(1, 1, 1, a)
#define HIGH3(X, a) HIGH2(X, a) X(2, 2, 2, a)
#define HIGH4(X, a) HIGH3(X, a) X(3, 3, 3, a)
#define HIGH5(X, a) HIGH4(X, a) X(4, 4, 4, a)
#define LOW6(X, a) X(0, 0, 3, a) X(1, 1, 4, a) X(2, 2, 5, a)
#define HIGH6(X, a) X(3, 0, 0, a) X(4, 1, 1, a) X(5, 2, 2, a)
#define LOW8(X, a) X(0, 0, 4, a) X(1, 1, 5, a) X(2, 2, 6, a) X(3, 3, 7, a)
#define HIGH8(X, a) X(4, 0, 0, a) X(5, 1, 1, a) X(6, 2, 2, a) X(7, 3, 3, a)
#define LOW10(X, a) X(0, 0, 5, a) X(1, 1, 6, a) X(2, 2, 7, a) X(3, 3, 8, a) X(4, 4, 9, a)
#define HIGH10(X, a) X(5, 0, 0, a) X(6, 1, 1, a) X(7, 2, 2, a) X(8, 3, 3, a) X(9, 4, 4, a)
#define LOW12(X, a) X(0, 0, 6, a) X(1, 1, 7, a) X(2, 2, 8, a) X(3, 3, 9, a) X(4, 4, 10, a) X(5, 5, 11, a)
#define HIGH12(X, a) X(6, 0, 0, a) X(7, 1, 1, a) X(8, 2, 2, a) X(9, 3, 3, a) X(10, 4, 4, a) X(11, 5, 5, a)

#define GROUPED 1
#define LMUL 8
#define ROWS 1
#include "qigemm_tile.h"
#define ROWS 2
#include "qigemm_tile.h"
#undef LMUL

#define LMUL 4
#define ROWS 1
#include "qigemm_tile.h"
#define ROWS 2
#include "qigemm_tile.h"
#define ROWS 3
#include "qigemm_tile.h"
#define ROWS 4
#include "qigemm_tile.h"
#define ROWS 5
#include "qigemm_tile.h"
#undef LMUL

#define LMUL 2
#define ROWS 1
#include "qigemm_tile.h"
#define ROWS 2
#include "qigemm_tile.h"
#define ROWS 4
#include "qigemm_tile.h"
#define ROWS 6
#include "qigemm_tile.h"
#define ROWS 8
#include "qigemm_tile.h"
#define ROWS 10
#include "qigemm_tile.h"
#undef LMUL
#undef GROUPED

#define GROUPED 0
#define LMUL 1
#define ROWS 1
#include "qigemm_tile.h"
#define ROWS 4
#include "qigemm_tile.h"
#define ROWS 8
#include "qigemm_tile.h"
#define ROWS 12
#include "qigemm_tile.h"
#undef LMUL
#undef GROUPED

/* Tile functions of one LMUL. A height is a multiple of `unit`, or 1. */
struct kind {
    int lmul;
    int height_max;
    int unit;
    tile_fn *one;     /* of height 1 */
    tile_fn *tile[5]; /* of height unit, 2 unit, ... height_max */
};

static const struct kind KIND_M8 = {8, 2, 1, tile_m8_1, {tile_m8_1, tile_m8_2}};
static const struct kind KIND_M4 = {
    4, 5, 1, tile_m4_1, {tile_m4_1, tile_m4_2, tile_m4_3, tile_m4_4, tile_m4_5}};
static const struct kind KIND_M2 = {
    2, 10, 2, tile_m2_1, {tile_m2_2, tile_m2_4, tile_m2_6, tile_m2_8, tile_m2_10}};
static const struct kind KIND_M1 = {1, 12, 4, tile_m1_1, {tile_m1_4, tile_m1_8, tile_m1_12}};

/* The fewest tiles for a number of pixels, and those of nearly one height: `taller` of (low + 1) * unit rows,
 * then `lower` of low * unit, then `ones` of a single row. */
struct split {
    int low, taller, lower, ones;
};

static struct split split(const struct kind *kind, int pixels) {
    const int units = pixels / kind->unit, most = kind->height_max / kind->unit;
    const int tiles = (units + most - 1) / most;
    struct split s = {0, 0, 0, pixels % kind->unit};
    if (tiles) {
        s.low = units / tiles;
        s.taller = units % tiles;
        s.lower = tiles - s.taller;
    }
    return s;
}

/* A row of pixels at one distance. */
static void line(const struct kind *kind, const struct job *job, const struct split *s, const int8_t *x,
                 int8_t *y) {
    const ptrdiff_t x_col = job->args->x_col_stride, y_col = job->args->y_col_stride;
    const ptrdiff_t tall = (ptrdiff_t)s->taller * (s->low + 1) * kind->unit;
    const ptrdiff_t all = tall + (ptrdiff_t)s->lower * s->low * kind->unit;
    if (s->taller) kind->tile[s->low](job, x, y, s->taller);
    if (s->lower) kind->tile[s->low - 1](job, x + tall * x_col, y + tall * y_col, s->lower);
    if (s->ones) kind->one(job, x + all * x_col, y + all * y_col, s->ones);
}

/* An image in tiles that go on in the next row where a row ends. */
static void image(const struct kind *kind, struct job *job, const struct split *s, const int8_t *x,
                  int8_t *y) {
    const pf_qigemm_args *a = job->args;
    int col = 0;
    const int tiles = s->taller + s->lower + s->ones;
    for (int t = 0; t < tiles; t++) {
        const int units = t < s->taller ? s->low + 1 : s->low;
        const int one = t >= s->taller + s->lower;
        const int height = one ? 1 : units * kind->unit;
        const int8_t *x_tile = x + (ptrdiff_t)col * a->x_col_stride;
        int8_t *y_tile = y + (ptrdiff_t)col * a->y_col_stride;
        job->crossing = col + height > a->cols;
        for (int i = 0; i < height; i++) {
            job->x[i] = x + (ptrdiff_t)col * a->x_col_stride;
            job->y[i] = y + (ptrdiff_t)col * a->y_col_stride;
            if (++col == a->cols) {
                col = 0;
                x += a->x_row_stride;
                y += a->y_row_stride;
            }
        }
        (one ? kind->one : kind->tile[units - 1])(job, x_tile, y_tile, 1);
    }
}

/* Whether fewer tiles are worth the pointers that have to be made for those which cross rows. */
static int crosses(const struct kind *kind, const pf_qigemm_args *a) {
    const int64_t pixels = (int64_t)a->rows * a->cols, depth = (int64_t)a->taps_y * a->taps_x * a->k;
    const int64_t in_rows = (int64_t)a->rows * ((a->cols + kind->height_max - 1) / kind->height_max);
    const int64_t in_all = (pixels + kind->height_max - 1) / kind->height_max;
    return (in_rows - in_all) * 3 * depth > 16 * pixels;
}

static void run(const struct kind *kind, const void *args, void *const *buf) {
    const pf_qigemm_args a = flattened(args);
    struct job job; /* not initialized: its pointers would be set to zero at every call */
    job.args = &a;
    job.crossing = 0;
    job.clamps = (a.lo > INT8_MIN) + 2 * (a.hi < INT8_MAX);
    const int cross = crosses(kind, &a);
    const struct split s = split(kind, cross ? a.rows * a.cols : a.cols);
    const int longest = (int)__riscv_vsetvlmax_e32m1() * kind->lmul;
    for (int col = 0; col < a.n; col += (int)job.vl) {
        const int block = col / a.nb, within = col % a.nb;
        const int left = PF_MIN(a.nb - within, a.n - col);
        job.vl = (size_t)PF_MIN(left, longest);
        job.block = block_at(buf[1], block);
        job.w = (const int8_t *)job.block + job.block[ROWS_AT] + within;
        job.bias = (const int32_t *)buf[2] + col;
        job.scale = (const float *)buf[3] + col;
        for (int b = 0; b < a.batch; b++) {
            const int8_t *x = (const int8_t *)buf[0] + (ptrdiff_t)b * a.x_batch_stride;
            int8_t *y = (int8_t *)buf[4] + (ptrdiff_t)b * a.y_batch_stride + col;
            if (cross) {
                image(kind, &job, &s, x, y);
                continue;
            }
            for (int r = 0; r < a.rows; r++) {
                line(kind, &job, &s, x + (ptrdiff_t)r * a.x_row_stride, y + (ptrdiff_t)r * a.y_row_stride);
            }
        }
    }
}

pf_kernel qs8_qc8w_igemm_2x8v__rvv, qs8_qc8w_igemm_5x4v__rvv, qs8_qc8w_igemm_10x2v__rvv,
    qs8_qc8w_igemm_12x1v__rvv;

void qs8_qc8w_igemm_2x8v__rvv(const void *args, void *const *buf) {
    run(&KIND_M8, args, buf);
}
void qs8_qc8w_igemm_5x4v__rvv(const void *args, void *const *buf) {
    run(&KIND_M4, args, buf);
}
void qs8_qc8w_igemm_10x2v__rvv(const void *args, void *const *buf) {
    run(&KIND_M2, args, buf);
}
void qs8_qc8w_igemm_12x1v__rvv(const void *args, void *const *buf) {
    run(&KIND_M1, args, buf);
}

/* The place of a kernel for dot products of four int8: until the toolchain has the instructions, their meaning. */
void qs8_qc8w_igemm_dot4__rvv(const void *args, void *const *buf) {
    qs8_qc8w_igemm_4x4__scalar(args, buf);
}

#endif

/* rows x columns sums in registers, of the pixels at x and the columns at w. */
PF_INLINE void scalar_tile(const int rows, const int columns, const pf_qigemm_args *a, const int32_t *block,
                           const int8_t *x, const int8_t *w, const int32_t *bias, const float *scale,
                           int8_t *y) {
    int32_t sum[4][4];
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < columns; c++) sum[r][c] = bias[c];
    }
    const ptrdiff_t x_col = a->x_col_stride, y_col = a->y_col_stride, w_step = a->nb;
    const int32_t *step = block + STEPS_AT;
    for (int size = SIZES; size; size--) {
        const int32_t *end = block + block[SIZES - size] / 4;
        PF_ROLLED
        while (step != end) {
            x += *step++;
            const int8_t *p = x;
            PF_ROLLED
            for (int left = size; left; left--, p++, w += w_step) {
                for (int r = 0; r < rows; r++) {
                    for (int c = 0; c < columns; c++) sum[r][c] += p[r * x_col] * w[c];
                }
            }
        }
    }
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < columns; c++) {
            y[r * y_col + c] = pf_round_s8((float)sum[r][c] * scale[c], a->zero, a->lo, a->hi);
        }
    }
}

static void scalar_line(const pf_qigemm_args *a, int columns, const int32_t *block, const int8_t *x,
                        const int8_t *w, const int32_t *bias, const float *scale, int8_t *y) {
    int left = a->cols;
    for (; left >= 4; left -= 4, x += 4 * (ptrdiff_t)a->x_col_stride, y += 4 * (ptrdiff_t)a->y_col_stride) {
        if (columns == 4) {
            scalar_tile(4, 4, a, block, x, w, bias, scale, y);
        } else {
            scalar_tile(4, 1, a, block, x, w, bias, scale, y);
        }
    }
    for (; left; left--, x += a->x_col_stride, y += a->y_col_stride) {
        if (columns == 4) {
            scalar_tile(1, 4, a, block, x, w, bias, scale, y);
        } else {
            scalar_tile(1, 1, a, block, x, w, bias, scale, y);
        }
    }
}

void qs8_qc8w_igemm_4x4__scalar(const void *args, void *const *buf) {
    const pf_qigemm_args a = flattened(args);
    for (int col = 0, columns; col < a.n; col += columns) {
        const int block = col / a.nb, within = col % a.nb;
        columns = PF_MIN(a.nb - within, a.n - col) >= 4 ? 4 : 1;
        const int32_t *head = block_at(buf[1], block);
        const int8_t *w = (const int8_t *)head + head[ROWS_AT] + within;
        const int32_t *bias = (const int32_t *)buf[2] + col;
        const float *scale = (const float *)buf[3] + col;
        for (int b = 0; b < a.batch; b++) {
            const int8_t *x = (const int8_t *)buf[0] + (ptrdiff_t)b * a.x_batch_stride;
            int8_t *y = (int8_t *)buf[4] + (ptrdiff_t)b * a.y_batch_stride + col;
            for (int r = 0; r < a.rows; r++) {
                scalar_line(&a, columns, head, x + (ptrdiff_t)r * a.x_row_stride, w, bias, scale,
                            y + (ptrdiff_t)r * a.y_row_stride);
            }
        }
    }
}
