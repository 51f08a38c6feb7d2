/* The bytes of images, resized if need be, normalised and quantized: one pass, a row at a time. preprocess.h has the
 * arguments and the arithmetic. */
#include "preprocess.h"

#include "pf_kernel.h"
#include "qrows.h"

typedef pf_preprocess_args arguments;

#define PF_PREPROCESS(NAME, T, ROW)                                             \
    pf_kernel NAME;                                                             \
    void NAME(const void *args, void *const *buf) {                             \
        const arguments *p = args;                                              \
        PF_ROLLED for (int64_t b = 0; b < p->batch; b++) {                      \
            const uint8_t *x = (const uint8_t *)buf[0] + b * p->x_batch_stride; \
            T *y = (T *)buf[2] + b * p->y_batch_stride;                         \
            PF_ROLLED for (int32_t r = 0; r < p->rows; r++) {                   \
                ROW(p, x, buf[1], y);                                           \
                x += p->x_row_stride, y += p->y_row_stride;                     \
            }                                                                   \
        }                                                                       \
    }

#define PF_PREPROCESS_RESIZED(NAME, T, RESIZE, ROW)                                           \
    pf_kernel NAME;                                                                           \
    void NAME(const void *args, void *const *buf) {                                           \
        const arguments *p = args;                                                            \
        uint16_t *line = buf[6];                                                              \
        uint8_t *bytes = (uint8_t *)(line + p->span + p->step);                               \
        PF_ROLLED for (int64_t b = 0; b < p->batch; b++) {                                    \
            const uint8_t *x = (const uint8_t *)buf[0] + b * p->x_batch_stride;               \
            T *y = (T *)buf[5] + b * p->y_batch_stride;                                       \
            const int32_t *row = buf[2];                                                      \
            PF_ROLLED for (int32_t r = 0; r < p->rows; r++, row += 2, y += p->y_row_stride) { \
                RESIZE(p, x + row[0] * p->x_row_stride, row[1], buf[3], buf[4], line, bytes); \
                ROW(p, bytes, buf[1], y);                                                     \
            }                                                                                 \
        }                                                                                     \
    }

#if PF_RVV

/* As many lanes as hold whole periods: then the constants stay in registers. */
#define PF_LANES(p, vlmax) ((size_t)PF_MIN((int32_t)((vlmax) - (vlmax) % (size_t)(p)->period), (p)->packed))
#define PF_CHUNKS(p, vsetvl, most, x, y)                                                    \
    size_t vl;                                                                              \
    PF_ROLLED for (size_t left = (size_t)(p)->n; vl = vsetvl(PF_MIN(left, most)), left > 0; \
                   left -= vl, x += vl, y += vl)

static void row_f32(const arguments *p, const uint8_t *x, const void *constants, float *y) {
    const size_t vlmax = __riscv_vsetvlmax_e32m8(), most = PF_LANES(p, vlmax);
    const vfloat32m8_t factor = __riscv_vle32_v_f32m8(constants, most);
    const vfloat32m8_t offset = __riscv_vle32_v_f32m8((const float *)constants + p->packed, most);
    PF_CHUNKS(p, __riscv_vsetvl_e32m8, most, x, y) {
        const vuint16m4_t wide = __riscv_vzext_vf2_u16m4(__riscv_vle8_v_u8m2(x, vl), vl);
        __riscv_vse32(y, __riscv_vfmadd(__riscv_vfwcvt_f_xu_v_f32m8(wide, vl), factor, offset, vl), vl);
    }
}

static void row_qs8(const arguments *p, const uint8_t *x, const void *constants, int8_t *y) {
    const size_t vlmax = __riscv_vsetvlmax_e32m8(), most = PF_LANES(p, vlmax);
    const vfloat32m8_t factor = __riscv_vle32_v_f32m8(constants, most);
    const vfloat32m8_t offset = __riscv_vle32_v_f32m8((const float *)constants + p->packed, most);
    PF_CHUNKS(p, __riscv_vsetvl_e32m8, most, x, y) {
        const vuint16m4_t wide = __riscv_vzext_vf2_u16m4(__riscv_vle8_v_u8m2(x, vl), vl);
        const vfloat32m8_t v = __riscv_vfmadd(__riscv_vfwcvt_f_xu_v_f32m8(wide, vl), factor, offset, vl);
        const vint16m4_t near = __riscv_vfncvt_x_f_w_i16m4(v, vl);
        __riscv_vse8(y, __riscv_vnclip_wx_i8m2(near, 0, __RISCV_VXRM_RDN, vl), vl);
    }
}

static void row_lut(const arguments *p, const uint8_t *x, const void *constants, int8_t *y) {
    const size_t vlmax = __riscv_vsetvlmax_e16m8(), most = PF_LANES(p, vlmax);
    const vuint16m8_t starts = __riscv_vle16_v_u16m8(constants, most);
    const int8_t *table = (const int8_t *)((const uint16_t *)constants + p->packed);
    PF_CHUNKS(p, __riscv_vsetvl_e16m8, most, x, y) {
        const vuint16m8_t at = __riscv_vwaddu_wv(starts, __riscv_vle8_v_u8m4(x, vl), vl);
        __riscv_vse8(y, __riscv_vluxei16_v_i8m4(table, at, vl), vl);
    }
}

static void reorder(const arguments *p, const uint8_t *from, const uint16_t *cols, uint8_t *to) {
    size_t vl;
    PF_ROLLED for (size_t left = (size_t)p->n; left > 0; left -= vl, cols += vl, to += vl) {
        vl = __riscv_vsetvl_e16m8(left);
        __riscv_vse8(to, __riscv_vluxei16_v_u8m4(from, __riscv_vle16_v_u16m8(cols, vl), vl), vl);
    }
}

/* Two rows mixed in order, then pixels picked out of the mixture: half as many picks as the other way round. */
static void resize(const arguments *p, const uint8_t *from, int32_t down, const uint16_t *cols,
                   const uint16_t *right, uint16_t *line, uint8_t *to) {
    const uint8_t *below = from + p->x_row_stride;
    uint16_t *mixed = line;
    if (p->span == 0) {
        reorder(p, from, cols, to);
        return;
    }
    size_t vl;
    if (down) {
        PF_ROLLED for (size_t left = (size_t)p->span; left > 0;
                       left -= vl, from += vl, below += vl, mixed += vl) {
            vl = __riscv_vsetvl_e8m4(left);
            const vuint16m8_t upper =
                __riscv_vwmulu(__riscv_vle8_v_u8m4(from, vl), (uint8_t)(256 - down), vl);
            __riscv_vse16(mixed, __riscv_vwmaccu(upper, (uint8_t)down, __riscv_vle8_v_u8m4(below, vl), vl),
                          vl);
        }
    } else {
        PF_ROLLED for (size_t left = (size_t)p->span; left > 0; left -= vl, from += vl, mixed += vl) {
            vl = __riscv_vsetvl_e8m4(left);
            const vuint16m8_t wide = __riscv_vzext_vf2_u16m8(__riscv_vle8_v_u8m4(from, vl), vl);
            __riscv_vse16(mixed, __riscv_vsll(wide, 8, vl), vl);
        }
    }
    PF_ROLLED for (size_t left = (size_t)p->n; left > 0; left -= vl, cols += vl, right += vl, to += vl) {
        vl = __riscv_vsetvl_e16m4(left);
        const vuint16m4_t at = __riscv_vle16_v_u16m4(cols, vl), w = __riscv_vle16_v_u16m4(right, vl);
        const vuint16m4_t here = __riscv_vluxei16_v_u16m4(line, at, vl);
        const vuint16m4_t next = __riscv_vluxei16_v_u16m4(line + p->step, at, vl);
        const vuint32m8_t sum = __riscv_vwmulu(here, __riscv_vrsub(w, 256, vl), vl);
        const vuint16m4_t byte = __riscv_vnclipu(__riscv_vwmaccu(sum, next, w, vl), 16, __RISCV_VXRM_RNU, vl);
        __riscv_vse8(to, __riscv_vncvt_x(byte, vl), vl);
    }
}

PF_PREPROCESS(u8_f32_preprocess_8v__rvv, float, row_f32)
PF_PREPROCESS(u8_qs8_preprocess_8v__rvv, int8_t, row_qs8)
PF_PREPROCESS(u8_qs8_preprocess_lut_8v__rvv, int8_t, row_lut)
PF_PREPROCESS_RESIZED(u8_f32_preprocess_resized_8v__rvv, float, resize, row_f32)
PF_PREPROCESS_RESIZED(u8_qs8_preprocess_resized_8v__rvv, int8_t, resize, row_qs8)
PF_PREPROCESS_RESIZED(u8_qs8_preprocess_lut_resized_8v__rvv, int8_t, resize, row_lut)

#endif

/* A channel at a time, so that its constants stay in registers, in blocks that stay in the cache. */
enum { BLOCK = 768 };
#define PF_PIXELS(p, CONSTANTS, VALUE)                                                       \
    const int32_t period = (p)->period; /* stores of bytes might change it */                \
    PF_ROLLED for (int32_t left = (p)->n; left > 0; left -= BLOCK, x += BLOCK, y += BLOCK) { \
        const ptrdiff_t count = PF_MIN(left, BLOCK);                                         \
        PF_ROLLED for (int32_t c = 0; c < period; c++) {                                     \
            CONSTANTS;                                                                       \
            PF_ROLLED for (ptrdiff_t i = c; i < count; i += period) y[i] = VALUE;            \
        }                                                                                    \
    }

static void row_f32_scalar(const arguments *p, const uint8_t *x, const void *constants, float *y) {
    const float *a = constants, *b = a + p->packed;
    PF_PIXELS(p, const float factor = a[c]; const float offset = b[c], (float)x[i] * factor + offset)
}

/* Whether the sum is fused does not matter: preprocess.py made the constants so. */
static void row_qs8_scalar(const arguments *p, const uint8_t *x, const void *constants, int8_t *y) {
    const float *a = constants, *b = a + p->packed;
    PF_PIXELS(p, const float factor = a[c];
              const float offset = b[c], pf_round_s8((float)x[i] * factor + offset, 0, -128, 127))
}

static void row_lut_scalar(const arguments *p, const uint8_t *x, const void *constants, int8_t *y) {
    const int8_t *tables = (const int8_t *)((const uint16_t *)constants + p->packed);
    PF_PIXELS(p, const int8_t *table = tables + 256 * c, table[x[i]])
}

static void resize_scalar(const arguments *p, const uint8_t *from, int32_t down, const uint16_t *cols,
                          const uint16_t *right, uint16_t *line, uint8_t *to) {
    const uint8_t *below = down ? from + p->x_row_stride : from;
    const ptrdiff_t span = p->span, n = p->n, step = p->step; /* stores of bytes might change them */
    if (span == 0) {
        PF_ROLLED for (ptrdiff_t i = 0; i < n; i++) to[i] = from[cols[i]];
        return;
    }
    for (ptrdiff_t i = 0; i < span; i++) line[i] = (uint16_t)(256 * from[i] + (below[i] - from[i]) * down);
    PF_ROLLED for (ptrdiff_t i = 0; i < n; i++) {
        const uint16_t *here = line + cols[i] / 2;
        to[i] = (uint8_t)((256 * here[0] + (here[step] - here[0]) * right[i] + 32768) >> 16);
    }
}

PF_PREPROCESS(u8_f32_preprocess__scalar, float, row_f32_scalar)
PF_PREPROCESS(u8_qs8_preprocess__scalar, int8_t, row_qs8_scalar)
PF_PREPROCESS(u8_qs8_preprocess_lut__scalar, int8_t, row_lut_scalar)
PF_PREPROCESS_RESIZED(u8_f32_preprocess_resized__scalar, float, resize_scalar, row_f32_scalar)
PF_PREPROCESS_RESIZED(u8_qs8_preprocess_resized__scalar, int8_t, resize_scalar, row_qs8_scalar)
PF_PREPROCESS_RESIZED(u8_qs8_preprocess_lut_resized__scalar, int8_t, resize_scalar, row_lut_scalar)
