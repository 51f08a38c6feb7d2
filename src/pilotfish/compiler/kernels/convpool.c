/* Convolution and pool in one, for few input channels: vectors run along the pooled pixels of a row.
 *
 * The image is first split into even and odd columns, with its frame of zeros, in scratch memory. Then all
 * four convolution results that a pooled pixel takes the largest of are four vectors, and no shuffle is
 * needed: with padded column 2i in even[i] and 2i + 1 in odd[i], the even results need even[i], odd[i],
 * even[i + 1], the odd ones odd[i], even[i + 1], odd[i + 1]. A row of scratch is its even columns, then its
 * odd ones, of `width` elements each.
 */
#include "convpool.h"

#include "pf_kernel.h"
#include "pf_vec.h"

struct shape {
    int32_t rows, cols; /* of the output */
    ptrdiff_t width;    /* of a half row in scratch */
    ptrdiff_t plane;    /* elements of scratch for one channel */
    int32_t clamp_lo, clamp_hi;
};

static struct shape shape_of(const pf_convpool_args *p) {
    struct shape s = {.rows = p->in_rows / 2, .cols = p->in_cols / 2};
    s.width = s.cols + 1;
    s.plane = (ptrdiff_t)(2 * s.rows + 2) * 2 * s.width;
    s.clamp_lo = p->lo > -__builtin_inff();
    s.clamp_hi = p->hi < __builtin_inff();
    return s;
}

/* Splits one channel, from its first row to its last that is used, into rows of scratch. */
typedef void split_fn(const pf_convpool_args *p, const float *row, int32_t rows, float *scratch,
                      ptrdiff_t width);
typedef void tile_fn(const pf_convpool_args *p, const struct shape *s, const float *scratch, const float *w,
                     const float *bias, float *y);

static void split_image(const pf_convpool_args *p, const struct shape *s, const float *x, float *scratch,
                        split_fn *split) {
    const int32_t used = PF_MIN(p->in_rows, 2 * s->rows + 1);
    const ptrdiff_t row = 2 * s->width;
    for (int32_t k = 0; k < p->channels; k++, x += p->x_channel_stride, scratch += s->plane) {
        float *last = scratch + s->plane - row;
        for (ptrdiff_t i = 0; i < row; i++) scratch[i] = last[i] = 0.0f;
        split(p, x, used, scratch + row, s->width);
    }
}

/* `many` output channels at once, then the rest. */
PF_INLINE void convpool(const void *args, void *const *buf, split_fn *split, int32_t many,
                        tile_fn *const *tile) {
    const pf_convpool_args *p = args;
    const struct shape s = shape_of(p);
    const float *x = buf[0];
    float *image = buf[3], *scratch = buf[4];
    for (int32_t b = 0; b < p->batch; b++, x += p->x_batch_stride, image += p->y_batch_stride) {
        split_image(p, &s, x, scratch, split);
        const float *w = buf[1], *bias = buf[2];
        float *y = image;
        for (int32_t left = p->n; left > 0;) {
            const int32_t now = left == 4 && many == 3 ? 2 : PF_MIN(left, many);
            tile[now - 1](p, &s, scratch, w, bias, y);
            left -= now;
            w += (ptrdiff_t)now * p->channels * 9;
            bias += now;
            y += now * p->y_channel_stride;
        }
    }
}

#if PF_RVV

/* Pairs of columns are 64-bit elements: narrowing shifts pick one of each. */
static void split_rvv(const pf_convpool_args *p, const float *row, int32_t rows, float *scratch,
                      ptrdiff_t width) {
    const ptrdiff_t x_row_stride = p->x_row_stride;
    const size_t cols = (size_t)p->in_cols;
    PF_ROLLED
    for (; rows > 0; rows--, row += x_row_stride, scratch += 2 * width) {
        float *even = scratch, *odd = scratch + width;
        *even++ = 0.0f; /* left of the image, and right of it, where the last of an odd number may follow */
        odd[width - 1] = 0.0f;
        const float *x = row;
        PF_ROLLED
        for (size_t left = cols, vl; left > 0; left -= vl, x += vl) {
            vl = __riscv_vsetvl_e32m4(left);
            const vuint64m4_t pairs =
                __riscv_vreinterpret_v_u32m4_u64m4(__riscv_vle32_v_u32m4((const uint32_t *)x, vl));
            const size_t firsts = (vl + 1) / 2, seconds = vl / 2;
            __riscv_vse32((uint32_t *)odd, __riscv_vnsrl(pairs, 0, firsts), firsts);
            __riscv_vse32((uint32_t *)even, __riscv_vnsrl(pairs, 32, seconds), seconds);
            odd += firsts;
            even += seconds;
        }
    }
}

#define PF_LMUL m2
#include "convpool_tile.h"
#define PF_LMUL m1
#include "convpool_tile.h"

#define PF_CONVPOOL(NAME, KIND, LMUL)                                                                       \
    pf_kernel NAME;                                                                                         \
    void NAME(const void *args, void *const *buf) {                                                         \
        static tile_fn *const TILES[] = {pf_##KIND##_1_##LMUL, pf_##KIND##_2_##LMUL, pf_##KIND##_3_##LMUL}; \
        convpool(args, buf, split_rvv, 3, TILES);                                                           \
    }

PF_CONVPOOL(f32_convpool_3x2v__rvv, planes, m2)
PF_CONVPOOL(f32_convpool_3x1v__rvv, planes, m1)
PF_CONVPOOL(f32_convpool_c1_3x2v__rvv, plane, m2)
PF_CONVPOOL(f32_convpool_c1_3x1v__rvv, plane, m1)

#endif

static void split_scalar(const pf_convpool_args *p, const float *row, int32_t rows, float *scratch,
                         ptrdiff_t width) {
    const int32_t cols = p->in_cols;
    for (; rows > 0; rows--, row += p->x_row_stride, scratch += 2 * width) {
        float *even = scratch, *odd = scratch + width;
        *even++ = 0.0f;
        odd[width - 1] = 0.0f;
        for (int32_t i = 0; i < cols / 2; i++) {
            odd[i] = row[2 * i];
            even[i] = row[2 * i + 1];
        }
        if (cols % 2) odd[cols / 2] = row[cols - 1];
    }
}

#define PF_LMUL x1
#define PF_SCALAR_TILE
#include "convpool_tile.h"

pf_kernel f32_convpool_2x1__scalar;

void f32_convpool_2x1__scalar(const void *args, void *const *buf) {
    static tile_fn *const TILES[] = {pf_planes_1_x1, pf_planes_2_x1};
    convpool(args, buf, split_scalar, 2, TILES);
}
