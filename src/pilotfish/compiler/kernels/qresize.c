/* Nearest and linear resizing of bytes, from tables of the input rows and columns that each output row and column takes. */
#include "qresize.h"

#include <math.h>

#include "pf_kernel.h"
#include "qrows.h"

/* The pixels of one row, or one run of bytes. */
typedef void pixels_fn(const pf_qresize_args *p, const int8_t *x, const int32_t *col, int8_t *y);
typedef void copy_fn(const int8_t *x, int8_t *y, size_t n);
typedef void mix_fn(const pf_qresize_args *p, const int8_t *x, ptrdiff_t down, ptrdiff_t right,
                    const float *weight, int8_t *y);

/* A row that repeats the one before is copied as a whole if its pixels lie side by side. */
static void nearest(const pf_qresize_args *p, void *const *buf, pixels_fn *pixels, copy_fn *copy) {
    const int32_t *row = buf[1], *col = buf[2];
    const int dense = p->y_col_stride == p->channels;
    for (int32_t b = 0; b < p->batch; b++) {
        const int8_t *image = (const int8_t *)buf[0] + (ptrdiff_t)b * p->x_batch_stride;
        int8_t *y = (int8_t *)buf[3] + (ptrdiff_t)b * p->y_batch_stride;
        for (int32_t r = 0; r < p->rows; r++, y += p->y_row_stride) {
            if (dense && r > 0 && row[r] == row[r - 1]) {
                copy(y - p->y_row_stride, y, (size_t)p->cols * (size_t)p->channels);
            } else {
                pixels(p, image + (ptrdiff_t)row[r] * p->x_row_stride, col, y);
            }
        }
    }
}

static void linear(const pf_qresize_args *p, void *const *buf, mix_fn *mix) {
    const int32_t *row = buf[1], *col = buf[3];
    const float *row_part = buf[2], *col_part = buf[4];
    for (int32_t b = 0; b < p->batch; b++) {
        const int8_t *image = (const int8_t *)buf[0] + (ptrdiff_t)b * p->x_batch_stride;
        for (int32_t r = 0; r < p->rows; r++) {
            const int8_t *x = image + (ptrdiff_t)row[2 * r] * p->x_row_stride;
            const ptrdiff_t down = (ptrdiff_t)(row[2 * r + 1] - row[2 * r]) * p->x_row_stride;
            const float lower = row_part[r] * p->factor, upper = (1.0f - row_part[r]) * p->factor;
            int8_t *y = (int8_t *)buf[5] + (ptrdiff_t)b * p->y_batch_stride + (ptrdiff_t)r * p->y_row_stride;
            PF_ROLLED for (int32_t c = 0; c < p->cols; c++, y += p->y_col_stride) {
                const ptrdiff_t right = (ptrdiff_t)(col[2 * c + 1] - col[2 * c]) * p->x_col_stride;
                const float second = col_part[c], first = 1.0f - second;
                const float weight[4] = {upper * first, upper * second, lower * first, lower * second};
                mix(p, x + (ptrdiff_t)col[2 * c] * p->x_col_stride, down, right, weight, y);
            }
        }
    }
}

#if PF_RVV

static void copy_rvv(const int8_t *x, int8_t *y, size_t n) {
    size_t vl;
    PF_ROLLED for (; n > 0; n -= vl, x += vl, y += vl) {
        vl = __riscv_vsetvl_e8m8(n);
        __riscv_vse8(y, __riscv_vle8_v_i8m8(x, vl), vl);
    }
}

#define PF_PIXELS(LMUL)                                                                                      \
    PF_INLINE void pixels_##LMUL(const pf_qresize_args *p, const int8_t *x, const int32_t *col, int8_t *y) { \
        const ptrdiff_t step = p->x_col_stride, y_step = p->y_col_stride;                                    \
        size_t vl;                                                                                           \
        PF_ROLLED for (size_t left = (size_t)p->channels; left > 0; left -= vl, x += vl, y += vl) {          \
            vl = __riscv_vsetvl_e8##LMUL(left);                                                              \
            int8_t *to = y;                                                                                  \
            PF_ROLLED for (int32_t c = 0; c < p->cols; c++, to += y_step) {                                  \
                __riscv_vse8(to, __riscv_vle8_v_i8##LMUL(x + col[c] * step, vl), vl);                        \
            }                                                                                                \
        }                                                                                                    \
    }

PF_PIXELS(m1)
PF_PIXELS(m4)

static void pixels_rvv(const pf_qresize_args *p, const int8_t *x, const int32_t *col, int8_t *y) {
    if ((size_t)p->channels <= __riscv_vsetvlmax_e8m1()) {
        pixels_m1(p, x, col, y);
    } else {
        pixels_m4(p, x, col, y);
    }
}

PF_INLINE vint16m2_t centred(const pf_qresize_args *p, const int8_t *x, size_t vl) {
    return __riscv_vwsub_vx_i16m2(__riscv_vle8_v_i8m1(x, vl), (int8_t)p->x_zero, vl);
}

/* In the order of the vector types, since each change of them is an instruction. */
static void mix_rvv(const pf_qresize_args *p, const int8_t *x, ptrdiff_t down, ptrdiff_t right,
                    const float *weight, int8_t *y) {
    const float w0 = weight[0], w1 = weight[1], w2 = weight[2], w3 = weight[3];
    size_t vl;
    PF_ROLLED for (size_t left = (size_t)p->channels; left > 0; left -= vl, x += vl, y += vl) {
        vl = __riscv_vsetvl_e8m1(left);
        const vint16m2_t h0 = centred(p, x, vl), h1 = centred(p, x + right, vl);
        const vint16m2_t h2 = centred(p, x + down, vl), h3 = centred(p, x + down + right, vl);
        const vfloat32m4_t v0 = __riscv_vfwcvt_f_x_v_f32m4(h0, vl), v1 = __riscv_vfwcvt_f_x_v_f32m4(h1, vl);
        const vfloat32m4_t v2 = __riscv_vfwcvt_f_x_v_f32m4(h2, vl), v3 = __riscv_vfwcvt_f_x_v_f32m4(h3, vl);
        vfloat32m4_t v = __riscv_vfmul(v0, w0, vl);
        v = __riscv_vfmacc(v, w1, v1, vl);
        v = __riscv_vfmacc(v, w2, v2, vl);
        v = __riscv_vfmacc(v, w3, v3, vl);
        const vint16m2_t h = __riscv_vsadd(__riscv_vfncvt_x_f_w_i16m2(v, vl), (int16_t)p->y_zero, vl);
        const vint8m1_t q = __riscv_vnclip_wx_i8m1(h, 0, __RISCV_VXRM_RDN, vl);
        __riscv_vse8(y, __riscv_vmin(__riscv_vmax(q, (int8_t)p->lo, vl), (int8_t)p->hi, vl), vl);
    }
}

pf_kernel x8_resize_nearest__rvv, qs8_resize_linear_4v__rvv;

void x8_resize_nearest__rvv(const void *args, void *const *buf) {
    nearest(args, buf, pixels_rvv, copy_rvv);
}
void qs8_resize_linear_4v__rvv(const void *args, void *const *buf) {
    linear(args, buf, mix_rvv);
}

#endif

static void copy_scalar(const int8_t *x, int8_t *y, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = x[i];
}

static void pixels_scalar(const pf_qresize_args *p, const int8_t *x, const int32_t *col, int8_t *y) {
    for (int32_t c = 0; c < p->cols; c++, y += p->y_col_stride) {
        copy_scalar(x + (ptrdiff_t)col[c] * p->x_col_stride, y, (size_t)p->channels);
    }
}

/* fmaf, because hosts without FMA must give the same. */
static void mix_scalar(const pf_qresize_args *p, const int8_t *x, ptrdiff_t down, ptrdiff_t right,
                       const float *weight, int8_t *y) {
    const int32_t zero = p->x_zero;
    PF_SCALAR_LOOP for (int32_t k = 0; k < p->channels; k++, x++) {
        float v = (float)(x[0] - zero) * weight[0];
        v = fmaf((float)(x[right] - zero), weight[1], v);
        v = fmaf((float)(x[down] - zero), weight[2], v);
        v = fmaf((float)(x[down + right] - zero), weight[3], v);
        y[k] = pf_round_s8(v, p->y_zero, p->lo, p->hi);
    }
}

pf_kernel x8_resize_nearest__scalar, qs8_resize_linear__scalar;

void x8_resize_nearest__scalar(const void *args, void *const *buf) {
    nearest(args, buf, pixels_scalar, copy_scalar);
}
void qs8_resize_linear__scalar(const void *args, void *const *buf) {
    linear(args, buf, mix_scalar);
}
