/* A row of a sum or a product at one LMUL: a template for qadd.c, with PF_F, PF_H and PF_B the LMULs of f32, i16, i8. */

#define PF_VF PF_PASTE(vfloat32, PF_F, _t)
#define PF_VH PF_PASTE(vint16, PF_H, _t)
#define PF_VB PF_PASTE(vint8, PF_B, _t)
#define PF_AT(name, lmul) PF_PASTE(__riscv_##name, lmul, )
#define PF_ROW(name) PF_PASTE(name, _, PF_F)

PF_INLINE PF_VH PF_ROW(centred)(const int8_t *x, int32_t zero, size_t vl) {
    return PF_AT(vwsub_vx_i16, PF_H)(PF_AT(vle8_v_i8, PF_B)(x, vl), (int8_t)zero, vl);
}

/* `product`: the operation; `exact`: step by step in f32, for want of factors. */
PF_INLINE void PF_ROW(row)(const pf_qadd_args *p, const int product, const int exact, const int8_t *a,
                           const int8_t *b, int8_t *y) {
    const int bounded = p->lo > -128 || p->hi < 127;
    size_t vl;
    PF_ROLLED for (size_t left = (size_t)p->dims[3]; left > 0; left -= vl, a += vl, b += vl, y += vl) {
        vl = PF_AT(vsetvl_e8, PF_B)(left);
        const PF_VH ha = PF_ROW(centred)(a, p->a_zero, vl), hb = PF_ROW(centred)(b, p->b_zero, vl);
        PF_VF v;
        if (product && !exact) {
            v = PF_AT(vfcvt_f_x_v_f32, PF_F)(__riscv_vwmul(ha, hb, vl), vl);
            v = __riscv_vfmul(v, p->a_factor, vl);
        } else {
            v = __riscv_vfmul(PF_AT(vfwcvt_f_x_v_f32, PF_F)(ha, vl), exact ? p->a_scale : p->a_factor, vl);
            PF_VF w = PF_AT(vfwcvt_f_x_v_f32, PF_F)(hb, vl);
            if (exact) {
                w = __riscv_vfmul(w, p->b_scale, vl);
                v = product ? __riscv_vfmul(v, w, vl) : __riscv_vfadd(v, w, vl);
                v = p->first == 0.0f ? __riscv_vfdiv(v, p->y_scale, vl)
                                     : __riscv_vfmacc(__riscv_vfmul(v, p->second, vl), p->first, v, vl);
            } else {
                v = __riscv_vfmacc(v, p->b_factor, w, vl);
            }
        }
        const PF_VH h = __riscv_vsadd(PF_AT(vfncvt_x_f_w_i16, PF_H)(v, vl), (int16_t)p->y_zero, vl);
        PF_VB q = PF_AT(vnclip_wx_i8, PF_B)(h, 0, __RISCV_VXRM_RDN, vl);
        if (bounded) q = __riscv_vmin(__riscv_vmax(q, (int8_t)p->lo, vl), (int8_t)p->hi, vl);
        __riscv_vse8(y, q, vl);
    }
}

#undef PF_VF
#undef PF_VH
#undef PF_VB
#undef PF_AT
#undef PF_ROW
#undef PF_F
#undef PF_H
#undef PF_B
