/* Vectors of f32 for loops that are written once: RVV at a chosen LMUL, or plain scalar C.
 *
 * Every name ends in the width: _m1, _m2, _m4, _m8 (RVV register groups; only where PF_RVV), or _x1: one
 * float, vl always 1, which is the scalar twin (clang vectorizes such loops on the host). A loop:
 *
 *     for (int32_t i = 0; i < n;) {
 *         const size_t vl = pf_vl_m4(n - i);
 *         const pf_v_m4 v0 = pf_load_m4(a + i, vl), v1 = pf_load_m4(b + i, vl);
 *         const pf_v_m4 v2 = pf_exp_m4(v1, vl);
 *         pf_store_m4(y + i, pf_add_m4(v0, v2, vl), vl);
 *         i += (int32_t)vl;
 *     }
 *
 * Code for any width writes PF_(add), PF_V (a vector), PF_M (a mask), PF_U (a vector of uint32_t) after
 * `#define PF_LMUL m4`. In this table a, b, c are vectors, s a scalar float, m a mask; all but vl take vl
 * last.
 *
 *   vl(n)                  vector length for n elements left; vlmapped(n): at most PF_MAPPED_MAX
 *   load(p) store(p, a)    contiguous floats; loadb(p), storeb(p, m): a mask from and to bytes (0, else 1)
 *   splat(s)
 *   add sub mul div        (a, b); adds subs muls divs: (a, s); rsubs(a, s): s - a, rdivs(a, s): s / a
 *   fma(a, b, c)           a * b + c; fmas(a, s, c): a * s + c; nfma, nfmas: c - a * b.
 *                          Fused on RISC-V; a host without FMA rounds twice
 *   max min                (a, b): NaN if an operand is, as ONNX Max and Min; maxs, mins: (a, s), s not NaN
 *   maxnum minnum          (a, b): the other operand if one is NaN (one instruction); maxnums, minnums: (a, s)
 *   clip(a, lo, hi)        a NaN gives lo, as fused activations do; clamp(a, lo, hi): a NaN stays
 *   neg abs sqrt           (a); copysign(a, b)
 *   floor ceil round trunc (a), any float; round: ties to even; the sign of zero stays
 *   lt le gt ge eq ne      (a, b): masks, false for NaN, but ne; lts les gts ges eqs nes: (a, s)
 *   isnan(a) isinf(a)      masks
 *   and or xor             (m, m), not(m)
 *   select(m, a, b)        m ? a : b; selects(m, s, b): m ? s : b
 *   bits(a) floats(u)      the same 32 bits; shl(u, n), sra(u, n) (arithmetic), addu(u, k), andu(u, k), oru(u, k);
 *                          frominteger(u): the int32_t in u, as floats
 *   map(f, a) map2(f, a, b) a scalar function of each element, through memory (vl from vlmapped)
 */
#ifndef PF_VEC_H
#define PF_VEC_H

#include "pf_kernel.h"

#define PF_PASTE3(a, b, c) a##b##c
#define PF_PASTE(a, b, c) PF_PASTE3(a, b, c)
#define PF_(name) PF_PASTE(pf_##name, _, PF_LMUL)
#define PF_V PF_(v)
#define PF_M PF_(m)
#define PF_U PF_(u)

enum { PF_MAPPED_MAX = 64 };

#include "pf_vec_scalar.h"

#if PF_RVV
#define PF_LMUL m1
#define PF_RATIO 32
#define PF_BYTES mf4
#include "pf_vec_rvv.h"

#define PF_LMUL m2
#define PF_RATIO 16
#define PF_BYTES mf2
#include "pf_vec_rvv.h"

#define PF_LMUL m4
#define PF_RATIO 8
#define PF_BYTES m1
#include "pf_vec_rvv.h"

#define PF_LMUL m8
#define PF_RATIO 4
#define PF_BYTES m2
#include "pf_vec_rvv.h"
#endif

#endif
