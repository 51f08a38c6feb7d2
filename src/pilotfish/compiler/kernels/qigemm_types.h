/* What the tile functions of qigemm.c have in common, for LMUL and ROLL; with QIGEMM_UNDEF, the end of it. */
#ifndef QIGEMM_UNDEF
#define I32 PF_JOIN(vint32m, LMUL, _t)
#define F32 PF_JOIN(vfloat32m, LMUL, _t)
#if LMUL == 8
#define HALF m4
#define QUARTER m2
#elif LMUL == 4
#define HALF m2
#define QUARTER m1
#elif LMUL == 2
#define HALF m1
#define QUARTER mf2
#else
#define HALF mf2
#define QUARTER mf4
#endif
#define I16 PF_JOIN(vint16, HALF, _t)
#define I8 PF_JOIN(vint8, QUARTER, _t)
#define OP(name, type, lmul) PF_JOIN(__riscv_##name##_, type, lmul)

/* clang-format off */
#define POINTER(r, _) \
    const int8_t *p##r = p; \
    p += x_col;
#define CROSSING_POINTER(r, _) p##r = job->x[r];
#define START(r, _) I32 c##r = OP(vle32_v, i32m, LMUL)(bias, vl);
#define SCALAR(r, _) int64_t s##r;
#define SCALED(r, _) F32 f##r = OP(vfmul_vv, f32m, LMUL)(OP(vfcvt_f_x_v, f32m, LMUL)(c##r, vl), scale, vl);
#define ROUNDED(r, _) \
    const I16 h##r = OP(vsadd_vx, i16, HALF)(OP(vfncvt_x_f_w, i16, HALF)(f##r, vl), zero, vl);
#define NARROWED(r, _) I8 q##r = OP(vnclip_wx, i8, QUARTER)(h##r, 0, __RISCV_VXRM_RNU, vl);
#define CLAMP_LO(r, _) q##r = OP(vmax_vx, i8, QUARTER)(q##r, lo, vl);
#define CLAMP_HI(r, _) q##r = OP(vmin_vx, i8, QUARTER)(q##r, hi, vl);
#define END(r, _) \
    OP(vse8_v, i8, QUARTER)(y, q##r, vl); \
    y += y_col;
#define CROSSING_END(r, _) OP(vse8_v, i8, QUARTER)(job->y[r], q##r, vl);

/* What a tile function keeps in registers from tile to tile. */
#define TILE_VALUES \
    const pf_qigemm_args *a = job->args; \
    const size_t vl = job->vl; \
    const ptrdiff_t x_col = a->x_col_stride, y_col = a->y_col_stride; \
    const int32_t *const bias = job->bias, *const block = job->block; \
    const int32_t *const first_step = block + block[STEPS_AT] / 4; \
    const float *const scales = job->scale; \
    const int8_t *const w_first = job->w; \
    const int16_t zero = (int16_t)a->zero; \
    const int8_t lo = (int8_t)a->lo, hi = (int8_t)a->hi; \
    const int32_t clamps = job->clamps, crossing = job->crossing;
/* Pointers to the pixels' inputs, p0 and so on, and accumulators, c0 and so on. */
#define TILE_START \
    const int8_t *p = x; \
    ROLL(POINTER, ) \
    x = p; \
    if (crossing) { \
        ROLL(CROSSING_POINTER, ) \
    } \
    ROLL(START, )
#define TILE_END \
    const F32 scale = OP(vle32_v, f32m, LMUL)(scales, vl); \
    ROLL(SCALED, ) \
    ROLL(ROUNDED, ) \
    ROLL(NARROWED, ) \
    if (clamps & 1) { \
        ROLL(CLAMP_LO, ) \
    } \
    if (clamps & 2) { \
        ROLL(CLAMP_HI, ) \
    } \
    if (crossing) { \
        ROLL(CROSSING_END, ) \
    } else { \
        ROLL(END, ) \
    }
/* clang-format on */
#else
#undef QIGEMM_UNDEF
#undef I32
#undef F32
#undef I16
#undef I8
#undef HALF
#undef QUARTER
#undef OP
#undef POINTER
#undef CROSSING_POINTER
#undef START
#undef SCALAR
#undef SCALED
#undef ROUNDED
#undef NARROWED
#undef CLAMP_LO
#undef CLAMP_HI
#undef END
#undef CROSSING_END
#undef TILE_VALUES
#undef TILE_START
#undef TILE_END
#endif
