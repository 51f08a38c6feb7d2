/* Matrix products and convolutions in int8. Column blocks are the outer loop and tiles of pixels the inner one, so
 * that a block of weights stays in the cache while the image passes. */
#include "qigemm.h"

#include "pf_kernel.h"
#include "qrows.h"

/* Words of a block, and kinds of items; qigemm.py has the same. */
enum { ROWS_AT, STEPS_AT, SECTIONS_AT, KINDS = 12 };
static const uint8_t GROUP_SIZES[KINDS][2] = {{5, 4}, {4, 4}, {4, 3}, {3, 3}, {3, 2}, {2, 2},
                                              {6, 0}, {5, 0}, {4, 0}, {3, 0}, {2, 0}, {1, 0}};

pf_kernel qs8_qc8w_igemm_3x4__scalar, qs8_qc8w_igemm_dot4__rvv;

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

enum { HEIGHT_MAX = 12 };

struct job;
/* `count` tiles one after the other, from x to y. */
typedef void tile_fn(const struct job *job, const int8_t *x, int8_t *y, int count);

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
    tile_fn *tall, *one;
    const int8_t *x[HEIGHT_MAX];
    int8_t *y[HEIGHT_MAX];
};

#define PF_JOIN(a, b, c) PF_JOIN_(a, b, c)
#define PF_JOIN_(a, b, c) a##b##c
#define PF_TEXT(a) PF_TEXT_(a)
#define PF_TEXT_(a) #a
#define ROLL1(X, a) X(0, a)
#define ROLL2(X, a) ROLL1(X, a) X(1, a)
#define ROLL5(X, a) ROLL2(X, a) X(2, a) X(3, a) X(4, a)
#define ROLL6(X, a) ROLL5(X, a) X(5, a)
#define ROLL10(X, a) ROLL6(X, a) X(6, a) X(7, a) X(8, a) X(9, a)
#define ROLL12(X, a) ROLL10(X, a) X(10, a) X(11, a)
#define NO_LOW(X, w, a)
#define HIGH1(X, w, a) X(0, 0, 0, w, a)
#define HIGH2(X, w, a) HIGH1(X, w, a) X(1, 1, 1, w, a)
#define HIGH5(X, w, a) HIGH2(X, w, a) X(2, 2, 2, w, a) X(3, 3, 3, w, a) X(4, 4, 4, w, a)
#define LOW10(X, w, a) X(0, 0, 5, w, a) X(1, 1, 6, w, a) X(2, 2, 7, w, a) X(3, 3, 8, w, a) X(4, 4, 9, w, a)
#define HIGH10(X, w, a) X(5, 0, 0, w, a) X(6, 1, 1, w, a) X(7, 2, 2, w, a) X(8, 3, 3, w, a) X(9, 4, 4, w, a)
#define LOW12(X, w, a) \
    X(0, 0, 6, w, a) X(1, 1, 7, w, a) X(2, 2, 8, w, a) X(3, 3, 9, w, a) X(4, 4, 10, w, a) X(5, 5, 11, w, a)
#define HIGH12(X, w, a) \
    X(6, 0, 0, w, a) X(7, 1, 1, w, a) X(8, 2, 2, w, a) X(9, 3, 3, w, a) X(10, 4, 4, w, a) X(11, 5, 5, w, a)

#define LMUL 8
#define GROUPED 1
#define WHOLE 1
#define ROWS 2
#include "qigemm_tile.h"
#undef LMUL
#define LMUL 8
#define GROUPED 1
#define WHOLE 1
#define ROWS 1
#include "qigemm_tile.h"
#undef LMUL
#define LMUL 4
#define GROUPED 1
#define WHOLE 0
#define ROWS 5
#include "qigemm_tile.h"
#undef LMUL
#define LMUL 2
#define GROUPED 1
#define WHOLE 0
#define ROWS 10
#include "qigemm_tile.h"
#undef LMUL
#define LMUL 1
#define GROUPED 0
#define WHOLE 0
#define ROWS 12
#include "qigemm_tile.h"
#undef LMUL
#define GROUPED 1
#define LMUL 8
#define ROWS 2
#include "qigemm_rest.h"
#undef LMUL
#define LMUL 8
#define ROWS 1
#include "qigemm_rest.h"
#undef LMUL
#define LMUL 4
#define ROWS 1
#include "qigemm_rest.h"
#undef LMUL
#define LMUL 2
#define ROWS 1
#include "qigemm_rest.h"
#undef LMUL
#undef GROUPED
#define GROUPED 0
#define LMUL 1
#define ROWS 1
#include "qigemm_rest.h"
#undef LMUL
#undef GROUPED

/* Tile functions of one LMUL, for a number of pixels and for one. */
struct kind {
    int lmul;
    int height;
    tile_fn *tall, *one;
    tile_fn *any_tall, *any_one; /* where rows of weights do not fill vector registers */
};

static const struct kind KIND_M8 = {8, 2, tile_m8_2, tile_m8_1, rest_m8_2, rest_m8_1};
static const struct kind KIND_M4 = {4, 5, tile_m4_5, rest_m4_1, tile_m4_5, rest_m4_1};
static const struct kind KIND_M2 = {2, 10, tile_m2_10, rest_m2_1, tile_m2_10, rest_m2_1};
static const struct kind KIND_M1 = {1, 12, tile_m1_12, rest_m1_1, tile_m1_12, rest_m1_1};

/* A row of pixels at one distance. If several are left over, the last tile does some pixels again. */
static void line(const struct job *job, int height, const int8_t *x, int8_t *y) {
    const ptrdiff_t x_col = job->args->x_col_stride, y_col = job->args->y_col_stride;
    const int cols = job->args->cols, tiles = cols / height, rest = cols % height, done = cols - rest;
    if (tiles) job->tall(job, x, y, tiles);
    if (tiles && rest > 1) {
        job->tall(job, x + (cols - height) * x_col, y + (cols - height) * y_col, 1);
    } else if (rest) {
        job->one(job, x + done * x_col, y + done * y_col, rest);
    }
}

/* An image in tiles that go on in the next row where a row ends. */
static void image(struct job *job, int height, const int8_t *x, int8_t *y) {
    const pf_qigemm_args *a = job->args;
    const int pixels = a->rows * a->cols;
    int row = 0, col = 0;
    for (int left = pixels; left > 0; left -= height) {
        if (left < height) { /* the last tile does some pixels again */
            row = (pixels - height) / a->cols;
            col = (pixels - height) % a->cols;
        }
        const ptrdiff_t x_col = a->x_col_stride, y_col = a->y_col_stride;
        const int8_t *x_row = x + (ptrdiff_t)row * a->x_row_stride;
        int8_t *y_row = y + (ptrdiff_t)row * a->y_row_stride;
        const int8_t *x_tile = x_row + col * x_col;
        int8_t *y_tile = y_row + col * y_col;
        job->crossing = col + height > a->cols;
        if (!job->crossing) {
            col += height;
        } else {
            for (int i = 0; i < height; i++) {
                job->x[i] = x_row + col * x_col;
                job->y[i] = y_row + col * y_col;
                if (++col == a->cols) {
                    col = 0;
                    row++;
                    x_row += a->x_row_stride;
                    y_row += a->y_row_stride;
                }
            }
        }
        if (col == a->cols) {
            col = 0;
            row++;
        }
        job->tall(job, x_tile, y_tile, 1);
    }
}

/* Whether fewer tiles are worth the pointers that have to be made for those which cross rows. */
static int crosses(const struct kind *kind, const pf_qigemm_args *a) {
    const int64_t pixels = (int64_t)a->rows * a->cols, depth = (int64_t)a->taps_y * a->taps_x * a->k;
    if (pixels < kind->height) return 0;
    const int rest = a->cols % kind->height;
    const int64_t halves = a->cols < kind->height ? a->cols : 2 * (a->cols / kind->height) + PF_MIN(rest, 2);
    const int64_t saved = a->rows * halves - 2 * ((pixels + kind->height - 1) / kind->height);
    return saved * kind->height * kind->lmul * depth > 16 * pixels;
}

static void run(const struct kind *kind, const void *args, void *const *buf) {
    const pf_qigemm_args a = flattened(args);
    struct job job; /* not initialized: its pointers would be set to zero at every call */
    job.args = &a;
    job.crossing = 0;
    job.clamps = (a.lo > INT8_MIN) + 2 * (a.hi < INT8_MAX);
    const int cross = crosses(kind, &a);
    const int longest = (int)__riscv_vsetvlmax_e32m1() * kind->lmul;
    job.tall = a.nb == longest ? kind->tall : kind->any_tall;
    job.one = a.nb == longest ? kind->one : kind->any_one;
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
                image(&job, kind->height, x, y);
                continue;
            }
            for (int r = 0; r < a.rows; r++) {
                line(&job, kind->height, x + (ptrdiff_t)r * a.x_row_stride,
                     y + (ptrdiff_t)r * a.y_row_stride);
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
    qs8_qc8w_igemm_3x4__scalar(args, buf);
}

#endif

/* Clang multiplies first, for all rows, and then spills; so rows are kept in order. */
#if defined(__riscv)
#define IN_ORDER(s, w)                                                                            \
    __asm__(""                                                                                    \
            : "+r"(s[0]), "+r"(s[1]), "+r"(s[2]), "+r"(s[3]), "+r"(w[0]), "+r"(w[1]), "+r"(w[2]), \
              "+r"(w[3]));
#else
#define IN_ORDER(s, w)
#endif

/* What the scalar tiles of some columns have in common. */
struct columns {
    const pf_qigemm_args *args;
    const int32_t *block;
    const int8_t *w;
    const int32_t *bias;
    const float *scale;
};

/* rows x columns sums in registers, of the pixels at x. */
PF_INLINE void scalar_tile(const int rows, const int columns, const struct columns *of, const int8_t *x,
                           int8_t *y) {
    const pf_qigemm_args *a = of->args;
    const int32_t *block = of->block, *bias = of->bias;
    const float *scale = of->scale;
    const int8_t *w = of->w;
    int32_t sum[3][4];
    const int8_t *p[3];
    const ptrdiff_t y_col = a->y_col_stride, w_step = a->nb;
    for (int r = 0; r < rows; r++) {
        p[r] = x + r * (ptrdiff_t)a->x_col_stride;
        for (int c = 0; c < columns; c++) sum[r][c] = bias[c];
    }
    const int32_t *step = block + block[STEPS_AT] / 4;
    int32_t before = 0;
    PF_ROLLED
    for (const int32_t *section = block + SECTIONS_AT; section[0] != 4 * KINDS; section += 2) {
        const uint8_t *sizes = GROUP_SIZES[section[0] / 4];
        const int32_t *end = block + section[1] / 4;
        const int size = sizes[0] + sizes[1];
        PF_ROLLED
        while (step != end) {
            const ptrdiff_t move = *step++ - before;
            for (int r = 0; r < rows; r++) p[r] += move;
            before = size;
            PF_ROLLED
            for (int left = size; left; left--, w += w_step) {
                int32_t weights[4];
                for (int c = 0; c < columns; c++) weights[c] = w[c];
                for (int r = 0; r < rows; r++) {
                    const int32_t value = *p[r]++;
                    for (int c = 0; c < columns; c++) sum[r][c] += value * weights[c];
                    if (columns == 4) {
                        IN_ORDER(sum[r], weights)
                    }
                }
            }
        }
    }
    int32_t done[3][4]; /* a copy in memory, so that the sums themselves stay in registers */
    PF_UNROLLED
    for (int r = 0; r < rows; r++) {
        PF_UNROLLED
        for (int c = 0; c < columns; c++) done[r][c] = sum[r][c];
    }
    PF_ROLLED
    for (int r = 0; r < rows; r++) {
        PF_ROLLED
        for (int c = 0; c < columns; c++) {
            y[r * y_col + c] = pf_round_s8((float)done[r][c] * scale[c], a->zero, a->lo, a->hi);
        }
    }
}

/* Functions of their own, as clang would spill the sums for what surrounds them. */
#define SCALAR_TILE(R, C)                                                                             \
    static __attribute__((noinline)) void scalar_##R##x##C(const struct columns *of, const int8_t *x, \
                                                           int8_t *y) {                               \
        scalar_tile(R, C, of, x, y);                                                                  \
    }
SCALAR_TILE(3, 4)
SCALAR_TILE(3, 1)
SCALAR_TILE(1, 4)
SCALAR_TILE(1, 1)

static void scalar_line(const struct columns *of, int columns, const int8_t *x, int8_t *y) {
    const ptrdiff_t x_col = of->args->x_col_stride, y_col = of->args->y_col_stride;
    int left = of->args->cols;
    for (; left >= 3; left -= 3, x += 3 * x_col, y += 3 * y_col)
        (columns == 4 ? scalar_3x4 : scalar_3x1)(of, x, y);
    for (; left; left--, x += x_col, y += y_col) (columns == 4 ? scalar_1x4 : scalar_1x1)(of, x, y);
}

void qs8_qc8w_igemm_3x4__scalar(const void *args, void *const *buf) {
    const pf_qigemm_args a = flattened(args);
    for (int col = 0, columns; col < a.n; col += columns) {
        const int block = col / a.nb, within = col % a.nb;
        columns = PF_MIN(a.nb - within, a.n - col) >= 4 ? 4 : 1;
        const int32_t *head = block_at(buf[1], block);
        const struct columns of = {&a, head, (const int8_t *)head + head[ROWS_AT] + within,
                                   (const int32_t *)buf[2] + col, (const float *)buf[3] + col};
        for (int b = 0; b < a.batch; b++) {
            const int8_t *x = (const int8_t *)buf[0] + (ptrdiff_t)b * a.x_batch_stride;
            int8_t *y = (int8_t *)buf[4] + (ptrdiff_t)b * a.y_batch_stride + col;
            for (int r = 0; r < a.rows; r++) {
                scalar_line(&of, columns, x + (ptrdiff_t)r * a.x_row_stride,
                            y + (ptrdiff_t)r * a.y_row_stride);
            }
        }
    }
}
