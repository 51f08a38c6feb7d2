/* What one RISC-V instruction is to the counter: its class, and how many vector registers' worth of work it
 * does. Encodings: the RISC-V "V" Vector Extension 1.0, sections 3.4 (vtype), 6, 7, 10 to 16. */
#ifndef PF_WEIGHT_H
#define PF_WEIGHT_H

#include <stdbool.h>
#include <stdint.h>

enum pf_class { PF_SCALAR, PF_VSET, PF_ARITH, PF_UNIT, PF_STRIDED, PF_INDEXED, PF_CLASSES };

/* vtype[5:0]: the exponents of LMUL (3 bits, two's complement) and SEW (3 bits, SEW = 8 << vsew). */
typedef uint8_t pf_vtype;
#define PF_VTYPE_UNKNOWN 64 /* no vset seen yet, one with a register, or a reserved value */

static inline pf_vtype pf_vtype_of(uint32_t immediate) {
    bool reserved = (immediate & 7) == 4 || (immediate >> 3 & 7) > 3 || immediate >> 8;
    return reserved ? PF_VTYPE_UNKNOWN : (pf_vtype)(immediate & 63);
}

static inline enum pf_class pf_classify(uint32_t word) {
    uint32_t opcode = word & 0x7f, width = word >> 12 & 7;
    if (opcode == 0x57) return width == 7 ? PF_VSET : PF_ARITH;
    if (opcode == 0x77) return PF_ARITH; /* OP-VE: vector cryptography */
    if ((opcode == 0x07 || opcode == 0x27) && (width == 0 || width >= 5)) {
        uint32_t mop = word >> 26 & 3;
        return mop == 0 ? PF_UNIT : mop == 2 ? PF_STRIDED : PF_INDEXED;
    }
    return PF_SCALAR;
}

/* The vtype that a vset instruction sets. */
static inline pf_vtype pf_vset_result(uint32_t word) {
    if (word >> 31 == 0) return pf_vtype_of(word >> 20 & 0x7ff); /* vsetvli */
    if (word >> 30 == 3) return pf_vtype_of(word >> 20 & 0x3ff); /* vsetivli */
    return PF_VTYPE_UNKNOWN;                                     /* vsetvl: in a register */
}

/* Whether an arithmetic instruction has an operand of twice SEW and so of twice LMUL. */
static inline bool pf_is_wide(uint32_t word) {
    uint32_t funct6 = word >> 26, format = word >> 12 & 7, vs1 = word >> 15 & 31;
    bool is_float = format == 1 || format == 5, integer = format == 0 || format == 3 || format == 4;
    if ((word & 0x7f) != 0x57) return false;
    if (funct6 >= 48) return true;                              /* vw*, vfw* */
    if (integer) return funct6 >= 44 && funct6 <= 47;           /* vnsrl, vnsra, vnclipu, vnclip */
    return is_float && format == 1 && funct6 == 18 && vs1 >= 8; /* vfwcvt, vfncvt */
}

/* Registers' worth of work of a vector instruction that does not depend on vtype, or 0 if it does. */
static inline uint32_t pf_fixed_weight(uint32_t word) {
    uint32_t opcode = word & 0x7f, fields = word >> 29 & 7, kind = word >> 20 & 31;
    if (opcode == 0x57)
        return word >> 26 == 39 && (word >> 12 & 7) == 3 ? (word >> 15 & 7) + 1 : 0; /* vmv<n>r */
    if (opcode == 0x77) return 0;
    if ((word >> 26 & 3) != 0) return 0;
    if (kind == 8) return fields + 1; /* vl<n>r, vs<n>r */
    return kind == 11 ? 1 : 0;        /* vlm, vsm: one mask register */
}

/* Registers' worth of work: LMUL, of the wide side for widening and narrowing; LMUL * EEW / SEW for each
 * field of a load or store; never below 1, since a part of a register takes as long as a whole one. */
static inline uint32_t pf_weight(uint32_t word, pf_vtype vtype) {
    uint32_t fixed = pf_fixed_weight(word);
    if (fixed) return fixed;
    int lmul = (vtype & 7) > 3 ? (int)(vtype & 7) - 8 : (int)(vtype & 7), fields = 1;
    enum pf_class is = pf_classify(word);
    if (is == PF_ARITH) {
        lmul += pf_is_wide(word);
    } else {
        fields = (int)(word >> 29 & 7) + 1;
        /* width: 0, 5, 6, 7 for 8, 16, 32, 64 bits; of an indexed access it is the index's, the data has SEW.
         */
        int width = (int)(word >> 12 & 7);
        if (is != PF_INDEXED) lmul += (width ? width - 4 : 0) - (int)(vtype >> 3 & 7);
    }
    return (uint32_t)((lmul > 0 ? 1 << lmul : 1) * fields);
}

#endif
