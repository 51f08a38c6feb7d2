/* From int32 sums in registers to int8 in memory: macros for templates of tiles of LMUL registers a row, with row r's
 * sum in c<r>. All are for ROLL(X, a), which is X(0, a) X(1, a) ..., and take their names from where they stand: job
 * with bias and scale, args a, vl, and y. */
#ifndef PF_QTILE_H
#define PF_QTILE_H

#define PF_JOIN(a, b, c) PF_JOIN_(a, b, c)
#define PF_JOIN_(a, b, c) a##b##c
#define PF_TEXT(a) PF_TEXT_(a)
#define PF_TEXT_(a) #a

/* Parts of an LMUL, in which types and intrinsics are named. */
#define HALF_OF_8 m4
#define HALF_OF_4 m2
#define HALF_OF_2 m1
#define HALF_OF_1 mf2
#define QUARTER_OF_8 m2
#define QUARTER_OF_4 m1
#define QUARTER_OF_2 mf2
#define QUARTER_OF_1 mf4
#define HALF PF_JOIN(HALF_OF_, LMUL, )
#define QUARTER PF_JOIN(QUARTER_OF_, LMUL, )
#define I32 PF_JOIN(vint32m, LMUL, _t)
#define F32 PF_JOIN(vfloat32m, LMUL, _t)
#define I16 PF_JOIN(vint16, HALF, _t)
#define I8 PF_JOIN(vint8, QUARTER, _t)
#define OP(name, type, lmul) PF_JOIN(__riscv_##name##_, type, lmul)

/* clang-format off */
#define START(r, _) I32 c##r = OP(vle32_v, i32m, LMUL)(job->bias, vl);
#define SCALED(r, _) F32 f##r = OP(vfmul_vv, f32m, LMUL)(OP(vfcvt_f_x_v, f32m, LMUL)(c##r, vl), scale, vl);
#define ROUNDED(r, _) \
    const I16 h##r = OP(vsadd_vx, i16, HALF)(OP(vfncvt_x_f_w, i16, HALF)(f##r, vl), zero, vl);
#define NARROWED(r, _) I8 q##r = OP(vnclip_wx, i8, QUARTER)(h##r, 0, __RISCV_VXRM_RNU, vl);
#define CLAMP_LO(r, _) q##r = OP(vmax_vx, i8, QUARTER)(q##r, lo, vl);
#define CLAMP_HI(r, _) q##r = OP(vmin_vx, i8, QUARTER)(q##r, hi, vl);
#define END(r, _) \
    OP(vse8_v, i8, QUARTER)(y, q##r, vl); \
    y += y_col;
/* All sums, into q<r>. */
#define REQUANTIZE \
    const F32 scale = OP(vle32_v, f32m, LMUL)(job->scale, vl); \
    const int16_t zero = (int16_t)a->zero; \
    ROLL(SCALED, ) \
    ROLL(ROUNDED, ) \
    ROLL(NARROWED, ) \
    if (job->clamps & 1) { \
        const int8_t lo = (int8_t)a->lo; \
        ROLL(CLAMP_LO, ) \
    } \
    if (job->clamps & 2) { \
        const int8_t hi = (int8_t)a->hi; \
        ROLL(CLAMP_HI, ) \
    }
/* clang-format on */

#endif
