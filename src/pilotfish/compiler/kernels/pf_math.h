/* Functions of f32 vectors, of every width of pf_vec.h: pf_exp_m4(a, vl), pf_exp_x1(a, vl), PF_(exp)(a, vl).
 *
 * All widths run the same polynomials (minimax fits of our own), so that scalar twins agree with vectors
 * within these bounds, over all floats, tested against float64. "ulp" is the distance to the true value in
 * units of the result's last place; a NaN gives a NaN. Denormal results may be 0.
 *
 *   exp             1 ulp   below 1.7e-38: 0
 *   expneg          1 ulp   for a <= 0, else unspecified
 *   expm1           2 ulp   e^a - 1;  expm1neg: for a <= 0, else unspecified
 *   sigmoid         3 ulp   below 1e-38: 0
 *   tanh            3 ulp   never beyond 1
 *   erf             3 ulp   never beyond 1
 *   log             1 ulp   of denormals: as of 0
 *   log1p           2 ulp   log(1 + a);  log1p01: for 0 <= a <= 1, else unspecified
 *   softplus        2 ulp
 *   silu(a, k)              a sigmoid(k a): 4 ulp, and k a is rounded first
 *   mish            4 ulp
 *   gelu, gelutanh          2 ulp of |a|
 *   elu(a, alpha) celu(a, alpha > 0) selu(a, alpha, gamma)  4 ulp
 *   sign leaky(a, alpha) prelu(a, slope) thresholded(a, alpha) hardsigmoid(a, alpha, beta) hardswish softsign
 *   relu            a NaN gives 0, as fused activations do
 *
 * Through libm, one call an element, vl from vlmapped: sin cos tan asin acos atan sinh cosh asinh acosh
 * atanh, pow(a, b), fmod(a, b).
 */
#ifndef PF_MATH_H
#define PF_MATH_H

#include <math.h>

#include "pf_vec.h"

#define PF_LMUL x1
#include "pf_math_generic.h"
#undef PF_LMUL

#if PF_RVV
#define PF_LMUL m1
#include "pf_math_generic.h"
#undef PF_LMUL
#define PF_LMUL m2
#include "pf_math_generic.h"
#undef PF_LMUL
#define PF_LMUL m4
#include "pf_math_generic.h"
#undef PF_LMUL
#define PF_LMUL m8
#include "pf_math_generic.h"
#undef PF_LMUL
#endif

#endif
