/* The type that a file of kernels works on: f32, or f16 where PF_F16 is defined before this header. Every such
 * NAME.c is written once; f16_NAME.c defines PF_F16 and includes it. */
#ifndef PF_REAL_H
#define PF_REAL_H

#include "pf_kernel.h"

#ifdef PF_F16
typedef _Float16 pf_real;
#define PF_NAME(rest) f16_##rest
#define PF_VREAL(lmul) PF_REAL_3(vfloat16m, lmul, _t)
#define PF_RVV_REAL(op, lmul) PF_REAL_5(__riscv_, op, _f16m, lmul, )
#define PF_RVV_REAL_TU(op, lmul) PF_REAL_5(__riscv_, op, _f16m, lmul, _tu)
#define PF_LOAD_REAL(lmul) PF_REAL_3(__riscv_vle16_v_f16m, lmul, )
#define PF_LOAD_REAL_TU(lmul) PF_REAL_3(__riscv_vle16_v_f16m, lmul, _tu)
#define PF_STORE_REAL __riscv_vse16
#define PF_VLMAX_REAL(lmul) PF_REAL_3(__riscv_vsetvlmax_e16m, lmul, )()
/* For assembler. */
#define PF_SEW "e16"
#define PF_VLE "vle16.v"
#define PF_FL "flh"
#define PF_SIZE "2"
#else
typedef float pf_real;
#define PF_NAME(rest) f32_##rest
#define PF_VREAL(lmul) PF_REAL_3(vfloat32m, lmul, _t)
#define PF_RVV_REAL(op, lmul) PF_REAL_5(__riscv_, op, _f32m, lmul, )
#define PF_RVV_REAL_TU(op, lmul) PF_REAL_5(__riscv_, op, _f32m, lmul, _tu)
#define PF_LOAD_REAL(lmul) PF_REAL_3(__riscv_vle32_v_f32m, lmul, )
#define PF_LOAD_REAL_TU(lmul) PF_REAL_3(__riscv_vle32_v_f32m, lmul, _tu)
#define PF_STORE_REAL __riscv_vse32
#define PF_VLMAX_REAL(lmul) PF_REAL_3(__riscv_vsetvlmax_e32m, lmul, )()
#define PF_SEW "e32"
#define PF_VLE "vle32.v"
#define PF_FL "flw"
#define PF_SIZE "4"
#endif

#define PF_REAL_3(a, b, c) PF_REAL_3_(a, b, c)
#define PF_REAL_3_(a, b, c) a##b##c
#define PF_REAL_5(a, b, c, d, e) PF_REAL_5_(a, b, c, d, e)
#define PF_REAL_5_(a, b, c, d, e) a##b##c##d##e

/* Whether there are vectors of pf_real. */
#if PF_RVV && (!defined(PF_F16) || defined(__riscv_zvfh))
#define PF_RVV_REALS 1
#else
#define PF_RVV_REALS 0
#endif

#endif
