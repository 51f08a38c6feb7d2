/* Marks in a running program, for the counting plugin (measure/plugin/pf_count.c): a system call that no kernel has.
 * Elsewhere it fails harmlessly (ENOSYS). */
#ifndef PF_MARK_H
#define PF_MARK_H

#include <stdint.h>

#define PF_MARK_NUMBER 0x5256

/* What begins with a mark. Inference i has PF_MARK_INFERENCE + i, step s has PF_MARK_STEP + s. */
#define PF_MARK_OUTSIDE 1    /* nothing that is counted */
#define PF_MARK_EMPTY 2      /* an inference that does nothing: its cost is that of the marks */
#define PF_MARK_EMPTY_STEP 3 /* a step that does nothing */
#define PF_MARK_INFERENCE 1000
#define PF_MARK_STEP 1000000000

static inline void pf_mark(int64_t tag) {
#if defined(__riscv)
    register int64_t a0 __asm__("a0") = tag;
    register int64_t a7 __asm__("a7") = PF_MARK_NUMBER;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a7) : "memory");
#else
    (void)tag;
#endif
}

#endif
