/* pf_vec.h for single floats: vl is 1 and not looked at. */
#define PF_LMUL x1
#define PF_VL1 size_t vl __attribute__((unused))

typedef float pf_v_x1;
typedef uint32_t pf_u_x1;
typedef int32_t pf_m_x1;

PF_INLINE size_t pf_vl_x1(int64_t n __attribute__((unused))) {
    return 1;
}
PF_INLINE size_t pf_vlmapped_x1(int64_t n __attribute__((unused))) {
    return 1;
}

PF_INLINE float pf_load_x1(const float *p, PF_VL1) {
    return *p;
}
PF_INLINE void pf_store_x1(float *p, float a, PF_VL1) {
    *p = a;
}
PF_INLINE float pf_splat_x1(float s, PF_VL1) {
    return s;
}
PF_INLINE pf_m_x1 pf_loadb_x1(const uint8_t *p, PF_VL1) {
    return *p != 0;
}
PF_INLINE void pf_storeb_x1(uint8_t *p, pf_m_x1 m, PF_VL1) {
    *p = m != 0;
}

PF_INLINE float pf_add_x1(float a, float b, PF_VL1) {
    return a + b;
}
PF_INLINE float pf_sub_x1(float a, float b, PF_VL1) {
    return a - b;
}
PF_INLINE float pf_mul_x1(float a, float b, PF_VL1) {
    return a * b;
}
PF_INLINE float pf_div_x1(float a, float b, PF_VL1) {
    return a / b;
}
PF_INLINE float pf_adds_x1(float a, float s, PF_VL1) {
    return a + s;
}
PF_INLINE float pf_subs_x1(float a, float s, PF_VL1) {
    return a - s;
}
PF_INLINE float pf_muls_x1(float a, float s, PF_VL1) {
    return a * s;
}
PF_INLINE float pf_divs_x1(float a, float s, PF_VL1) {
    return a / s;
}
PF_INLINE float pf_rsubs_x1(float a, float s, PF_VL1) {
    return s - a;
}
PF_INLINE float pf_rdivs_x1(float a, float s, PF_VL1) {
    return s / a;
}
/* Not fmaf: on a host without FMA that is a slow function. */
PF_INLINE float pf_fma_x1(float a, float b, float c, PF_VL1) {
    return a * b + c;
}
PF_INLINE float pf_fmas_x1(float a, float s, float c, PF_VL1) {
    return a * s + c;
}
PF_INLINE float pf_nfma_x1(float a, float b, float c, PF_VL1) {
    return c - a * b;
}
PF_INLINE float pf_nfmas_x1(float a, float s, float c, PF_VL1) {
    return c - a * s;
}

PF_INLINE pf_m_x1 pf_lt_x1(float a, float b, PF_VL1) {
    return a < b;
}
PF_INLINE pf_m_x1 pf_le_x1(float a, float b, PF_VL1) {
    return a <= b;
}
PF_INLINE pf_m_x1 pf_gt_x1(float a, float b, PF_VL1) {
    return a > b;
}
PF_INLINE pf_m_x1 pf_ge_x1(float a, float b, PF_VL1) {
    return a >= b;
}
PF_INLINE pf_m_x1 pf_eq_x1(float a, float b, PF_VL1) {
    return a == b;
}
PF_INLINE pf_m_x1 pf_ne_x1(float a, float b, PF_VL1) {
    return a != b;
}
PF_INLINE pf_m_x1 pf_lts_x1(float a, float s, PF_VL1) {
    return a < s;
}
PF_INLINE pf_m_x1 pf_les_x1(float a, float s, PF_VL1) {
    return a <= s;
}
PF_INLINE pf_m_x1 pf_gts_x1(float a, float s, PF_VL1) {
    return a > s;
}
PF_INLINE pf_m_x1 pf_ges_x1(float a, float s, PF_VL1) {
    return a >= s;
}
PF_INLINE pf_m_x1 pf_eqs_x1(float a, float s, PF_VL1) {
    return a == s;
}
PF_INLINE pf_m_x1 pf_nes_x1(float a, float s, PF_VL1) {
    return a != s;
}
PF_INLINE pf_m_x1 pf_and_x1(pf_m_x1 a, pf_m_x1 b, PF_VL1) {
    return a & b;
}
PF_INLINE pf_m_x1 pf_or_x1(pf_m_x1 a, pf_m_x1 b, PF_VL1) {
    return a | b;
}
PF_INLINE pf_m_x1 pf_xor_x1(pf_m_x1 a, pf_m_x1 b, PF_VL1) {
    return a ^ b;
}
PF_INLINE pf_m_x1 pf_not_x1(pf_m_x1 a, PF_VL1) {
    return !a;
}
PF_INLINE float pf_select_x1(pf_m_x1 m, float a, float b, PF_VL1) {
    return m ? a : b;
}
PF_INLINE float pf_selects_x1(pf_m_x1 m, float s, float b, PF_VL1) {
    return m ? s : b;
}

PF_INLINE float pf_maxnum_x1(float a, float b, PF_VL1) {
    return a > b || b != b ? a : b;
}
PF_INLINE float pf_minnum_x1(float a, float b, PF_VL1) {
    return a < b || b != b ? a : b;
}
PF_INLINE float pf_maxnums_x1(float a, float s, PF_VL1) {
    return a > s ? a : s;
}
PF_INLINE float pf_minnums_x1(float a, float s, PF_VL1) {
    return a < s ? a : s;
}
PF_INLINE float pf_maxs_x1(float a, float s, PF_VL1) {
    return a < s ? s : a;
}
PF_INLINE float pf_mins_x1(float a, float s, PF_VL1) {
    return a > s ? s : a;
}
PF_INLINE float pf_clamp_x1(float a, float lo, float hi, PF_VL1) {
    a = a < lo ? lo : a;
    return a > hi ? hi : a;
}

PF_INLINE uint32_t pf_bits_x1(float a) {
    uint32_t u;
    __builtin_memcpy(&u, &a, sizeof u);
    return u;
}
PF_INLINE float pf_floats_x1(uint32_t u) {
    float a;
    __builtin_memcpy(&a, &u, sizeof a);
    return a;
}
PF_INLINE uint32_t pf_shl_x1(uint32_t u, size_t n, PF_VL1) {
    return u << n;
}
PF_INLINE uint32_t pf_sra_x1(uint32_t u, size_t n, PF_VL1) {
    return (uint32_t)((int32_t)u >> n);
}
PF_INLINE uint32_t pf_addu_x1(uint32_t u, uint32_t k, PF_VL1) {
    return u + k;
}
PF_INLINE uint32_t pf_rsubu_x1(uint32_t u, uint32_t k, PF_VL1) {
    return k - u;
}
PF_INLINE uint32_t pf_andu_x1(uint32_t u, uint32_t k, PF_VL1) {
    return u & k;
}
PF_INLINE uint32_t pf_oru_x1(uint32_t u, uint32_t k, PF_VL1) {
    return u | k;
}
PF_INLINE float pf_frominteger_x1(uint32_t u, PF_VL1) {
    return (float)(int32_t)u;
}

PF_INLINE float pf_neg_x1(float a, PF_VL1) {
    return -a;
}
PF_INLINE float pf_abs_x1(float a, PF_VL1) {
    return __builtin_fabsf(a);
}
PF_INLINE float pf_sqrt_x1(float a, PF_VL1) {
    return __builtin_sqrtf(a);
}
PF_INLINE float pf_copysign_x1(float a, float b, PF_VL1) {
    return __builtin_copysignf(a, b);
}
PF_INLINE pf_m_x1 pf_isinf_x1(float a, PF_VL1) {
    return __builtin_fabsf(a) == __builtin_inff();
}

/* To a whole number by adding 2^23, where floats have no fraction: libm's functions are calls on many
 * targets, and clang would vectorize a cast into what QEMU 7.2 aborts on. */
PF_INLINE float pf_round_x1(float a, PF_VL1) {
    const float size = __builtin_fabsf(a);
    const float whole = (size + 8388608.0f) - 8388608.0f;
    return size < 8388608.0f ? __builtin_copysignf(whole, a) : a;
}
PF_INLINE float pf_floor_x1(float a, size_t vl) {
    const float near = pf_round_x1(a, vl);
    return __builtin_copysignf(near > a ? near - 1.0f : near, a);
}
PF_INLINE float pf_ceil_x1(float a, size_t vl) {
    return -pf_floor_x1(-a, vl);
}
PF_INLINE float pf_trunc_x1(float a, size_t vl) {
    return __builtin_copysignf(pf_floor_x1(__builtin_fabsf(a), vl), a);
}

PF_INLINE float pf_quotient_x1(float a, float b, PF_VL1) {
    return a / b;
}
PF_INLINE float pf_map_x1(float (*f)(float), float a, PF_VL1) {
    return f(a);
}
PF_INLINE float pf_map2_x1(float (*f)(float, float), float a, float b, PF_VL1) {
    return f(a, b);
}

#define PF_S float
#include "pf_vec_generic.h"
#undef PF_S

#undef PF_VL1
#undef PF_LMUL
