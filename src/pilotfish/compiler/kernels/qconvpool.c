/* Convolution and pool in one in int8, for few input channels: vectors run along the pooled pixels of a row.
 *
 * The image is first split into even and odd columns, with its frame, and widened to i16, in scratch memory. Then all
 * four convolution results that a pooled pixel takes the largest of are four vectors, and no shuffle is needed: with
 * padded column 2i in even[i] and 2i + 1 in odd[i], the even results need even[i], odd[i], even[i + 1], the odd ones
 * odd[i], even[i + 1], odd[i + 1]. A row of scratch is its even columns, then its odd ones, of `width` elements each.
 */
#include "qconvpool.h"

#include "pf_kernel.h"
#include "qrows.h"

struct shape {
    int32_t rows, cols; /* of the output */
    ptrdiff_t width;    /* of a half row in scratch */
    ptrdiff_t plane;    /* elements of scratch for one channel */
};

static struct shape shape_of(const pf_qconvpool_args *p) {
    struct shape s = {.rows = p->in_rows / 2, .cols = p->in_cols / 2};
    s.width = s.cols + 1;
    s.plane = (ptrdiff_t)(2 * s.rows + 2) * 2 * s.width;
    return s;
}

/* What is constant for the output channels that a tile computes together. */
struct channels {
    const int8_t *w;
    const int32_t *bias;
    const float *scale;
};

/* Splits one channel, from its first row to its last that is used, into rows of scratch. */
typedef void split_fn(const pf_qconvpool_args *p, const int8_t *row, int32_t rows, int16_t *scratch,
                      ptrdiff_t width);
typedef void tile_fn(const pf_qconvpool_args *p, const struct shape *s, const int16_t *scratch,
                     struct channels at, int8_t *y);

static void split_image(const pf_qconvpool_args *p, const struct shape *s, const int8_t *x, int16_t *scratch,
                        split_fn *split) {
    const int32_t used = PF_MIN(p->in_rows, 2 * s->rows + 1);
    const ptrdiff_t row = 2 * s->width;
    for (int32_t k = 0; k < p->channels; k++, x += p->x_channel_stride, scratch += s->plane) {
        int16_t *last = scratch + s->plane - row;
        for (ptrdiff_t i = 0; i < row; i++) scratch[i] = last[i] = (int16_t)p->x_zero;
        split(p, x, used, scratch + row, s->width);
    }
}

/* `many` output channels at once, then the rest; if 0, a tile function does all of them. */
PF_INLINE void convpool(const void *args, void *const *buf, split_fn *split, int32_t many,
                        tile_fn *const *tile) {
    const pf_qconvpool_args *p = args;
    const struct shape s = shape_of(p);
    const int8_t *x = buf[0];
    int8_t *image = buf[4];
    int16_t *scratch = buf[5];
    for (int32_t b = 0; b < p->batch; b++, x += p->x_batch_stride, image += p->y_batch_stride) {
        split_image(p, &s, x, scratch, split);
        struct channels at = {buf[1], buf[2], buf[3]};
        int8_t *y = image;
        for (int32_t left = p->n; left > 0;) {
            if (!many) {
                tile[0](p, &s, scratch, at, y);
                break;
            }
            const int32_t now = left == 4 && many == 3 ? 2 : PF_MIN(left, many);
            tile[now - 1](p, &s, scratch, at, y);
            left -= now;
            at.w += (ptrdiff_t)now * p->channels * 9;
            at.bias += now;
            at.scale += now;
            y += now * p->y_channel_stride;
        }
    }
}

#if PF_RVV

static void split_rvv(const pf_qconvpool_args *p, const int8_t *row, int32_t rows, int16_t *scratch,
                      ptrdiff_t width) {
    const ptrdiff_t x_row_stride = p->x_row_stride;
    const int16_t zero = (int16_t)p->x_zero;
    const size_t cols = (size_t)p->in_cols;
    PF_ROLLED
    for (; rows > 0; rows--, row += x_row_stride, scratch += 2 * width) {
        int16_t *even = scratch, *odd = scratch + width;
        *even++ = zero; /* left of the image, and right of it, where the last of an odd number may follow */
        odd[width - 1] = zero;
        const int8_t *x = row;
        PF_ROLLED
        for (size_t left = cols, vl; left > 0; left -= vl, x += vl) {
            vl = __riscv_vsetvl_e8m2(left);
            /* Pairs of columns are 16-bit elements: shifts pick one of each. */
            const vint16m2_t pairs = __riscv_vreinterpret_v_i8m2_i16m2(__riscv_vle8_v_i8m2(x, vl));
            const size_t firsts = (vl + 1) / 2, seconds = vl / 2;
            __riscv_vse16(odd, __riscv_vsra(__riscv_vsll(pairs, 8, firsts), 8, firsts), firsts);
            __riscv_vse16(even, __riscv_vsra(pairs, 8, seconds), seconds);
            odd += firsts;
            even += seconds;
        }
    }
}

#define PF_JOIN(a, b, c) PF_JOIN_(a, b, c)
#define PF_JOIN_(a, b, c) a##b##c

#define LMUL m2
#define HALF m1
#define QUARTER mf2
#include "qconvpool_tile.h"
#define LMUL m1
#define HALF mf2
#define QUARTER mf4
#include "qconvpool_tile.h"

#define PF_CONVPOOL(SHAPE, LMUL)                                                             \
    pf_kernel qs8_qc8w_convpool_##SHAPE##__rvv, qs8_qc8w_convpool_c1_##SHAPE##__rvv;         \
    void qs8_qc8w_convpool_##SHAPE##__rvv(const void *args, void *const *buf) {              \
        static tile_fn *const TILES[] = {planes_1_##LMUL, planes_2_##LMUL, planes_3_##LMUL}; \
        convpool(args, buf, split_rvv, 3, TILES);                                            \
    }                                                                                        \
    void qs8_qc8w_convpool_c1_##SHAPE##__rvv(const void *args, void *const *buf) {           \
        convpool(args, buf, split_rvv, 0, (tile_fn *const[]){plane_##LMUL});                 \
    }

PF_CONVPOOL(3x2v, m2)
PF_CONVPOOL(3x1v, m1)

#endif

static void split_scalar(const pf_qconvpool_args *p, const int8_t *row, int32_t rows, int16_t *scratch,
                         ptrdiff_t width) {
    const int32_t cols = p->in_cols;
    const int16_t zero = (int16_t)p->x_zero;
    for (; rows > 0; rows--, row += p->x_row_stride, scratch += 2 * width) {
        int16_t *even = scratch, *odd = scratch + width;
        *even++ = zero;
        odd[width - 1] = zero;
        for (int32_t i = 0; i < cols / 2; i++) {
            odd[i] = row[2 * i];
            even[i] = row[2 * i + 1];
        }
        if (cols % 2) odd[cols / 2] = row[cols - 1];
    }
}

/* One output channel; the 4x4 inputs of a pooled pixel stay in registers while its four results are summed. */
static void scalar_tile(const pf_qconvpool_args *p, const struct shape *s, const int16_t *scratch,
                        struct channels at, int8_t *y) {
    const ptrdiff_t width = s->width;
    for (int32_t r = 0; r < s->rows; r++, scratch += 4 * width, y += p->y_row_stride) {
        PF_SCALAR_LOOP
        for (int32_t c = 0; c < s->cols; c++) {
            int32_t sum[4] = {0};
            const int16_t *in = scratch + c;
            const int8_t *w = at.w;
            for (int32_t k = 0; k < p->channels; k++, in += s->plane, w += 9) {
                PF_UNROLLED
                for (int i = 0; i < 4; i++) {
                    const int16_t *row = in + 2 * i * width;
                    const int32_t v[4] = {row[0], row[width], row[1], row[width + 1]};
                    for (int j = 0; j < 4; j++) {
                        for (int q = 0; q < 4; q++) { /* result (q / 2, q % 2) */
                            const int ky = i - q / 2, kx = j - q % 2;
                            if (ky >= 0 && ky < 3 && kx >= 0 && kx < 3) sum[q] += v[j] * w[3 * ky + kx];
                        }
                    }
                }
            }
            const int32_t top = PF_MAX(sum[0], sum[1]), bottom = PF_MAX(sum[2], sum[3]);
            const int32_t largest = PF_MAX(top, bottom) + at.bias[0];
            y[c] = pf_round_s8((float)largest * at.scale[0], p->zero, p->lo, p->hi);
        }
    }
}

pf_kernel qs8_qc8w_convpool_1x1__scalar;

void qs8_qc8w_convpool_1x1__scalar(const void *args, void *const *buf) {
    static tile_fn *const TILES[] = {scalar_tile};
    convpool(args, buf, split_scalar, 1, TILES);
}
