/* Rows of the kernels in quantize.c at one LMUL: a template, with PF_F, PF_H and PF_B the LMULs of f32, i16 and i8. */

#define PF_VF PF_PASTE(vfloat32, PF_F, _t)
#define PF_VH PF_PASTE(vint16, PF_H, _t)
#define PF_VB PF_PASTE(vint8, PF_B, _t)
#define PF_AT(name, lmul) PF_PASTE(__riscv_##name, lmul, )
#define PF_ROW(name) PF_PASTE(name, _, PF_F)

PF_INLINE PF_VB PF_ROW(rounded)(PF_VF v, const pf_quantize_args *p, size_t vl) {
    const PF_VH h = __riscv_vsadd(PF_AT(vfncvt_x_f_w_i16, PF_H)(v, vl), (int16_t)p->y_zero, vl);
    const PF_VB b = PF_AT(vnclip_wx_i8, PF_B)(h, 0, __RISCV_VXRM_RDN, vl);
    return p->lo > -128 || p->hi < 127 ? __riscv_vmin(__riscv_vmax(b, (int8_t)p->lo, vl), (int8_t)p->hi, vl)
                                       : b;
}

PF_INLINE PF_VF PF_ROW(divided)(PF_VF v, const pf_quantize_args *p, size_t vl) {
    return p->first == 0.0f ? __riscv_vfdiv(v, p->y_scale, vl)
                            : __riscv_vfmacc(__riscv_vfmul(v, p->second, vl), p->first, v, vl);
}

PF_INLINE PF_VF PF_ROW(centred)(const int8_t *x, const pf_quantize_args *p, size_t vl) {
    const PF_VH h = PF_AT(vwsub_vx_i16, PF_H)(PF_AT(vle8_v_i8, PF_B)(x, vl), (int8_t)p->x_zero, vl);
    return PF_AT(vfwcvt_f_x_v_f32, PF_F)(h, vl);
}

#define PF_QUANTIZE_ROW(NAME, TX, TY, STEP)                                                        \
    PF_INLINE void PF_ROW(NAME)(const pf_quantize_args *p, const TX *x, TY *y) {                   \
        size_t vl;                                                                                 \
        PF_ROLLED for (size_t left = (size_t)p->dims[3]; left > 0; left -= vl, x += vl, y += vl) { \
            vl = PF_AT(vsetvl_e32, PF_F)(left);                                                    \
            STEP;                                                                                  \
        }                                                                                          \
    }

PF_QUANTIZE_ROW(quantize, float, int8_t,
                __riscv_vse8(y,
                             PF_ROW(rounded)(PF_ROW(divided)(PF_AT(vle32_v_f32, PF_F)(x, vl), p, vl), p, vl),
                             vl))
PF_QUANTIZE_ROW(dequantize, int8_t, float,
                __riscv_vse32(y, __riscv_vfmul(PF_ROW(centred)(x, p, vl), p->x_scale, vl), vl))
PF_QUANTIZE_ROW(requantize, int8_t, int8_t, PF_VF v = PF_ROW(centred)(x, p, vl);
                v = p->factor != 0.0f ? __riscv_vfmul(v, p->factor, vl)
                                      : PF_ROW(divided)(__riscv_vfmul(v, p->x_scale, vl), p, vl);
                __riscv_vse8(y, PF_ROW(rounded)(v, p, vl), vl))

#undef PF_QUANTIZE_ROW
#undef PF_VF
#undef PF_VH
#undef PF_VB
#undef PF_AT
#undef PF_ROW
#undef PF_F
#undef PF_H
#undef PF_B
