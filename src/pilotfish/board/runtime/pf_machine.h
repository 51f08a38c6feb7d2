/* What the machine has, found out without an instruction that it may not have. */
#ifndef PF_MACHINE_H
#define PF_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "pf_model.h"

/* These catch SIGILL for the time of the call: do not call them while another thread changes signal handlers. */

/* Length of the vector registers (RVV 1.0) in bits; 0 if there are none that this process may use. */
uint32_t pf_machine_vlen(void);
/* Whether they take float16 (Zvfh); only to be asked where there are vector registers. */
bool pf_machine_has_half(void);
/* PF_OK if they have `vlen_min` bits or more and, if `half`, take float16; always if `vlen_min` is 0. */
pf_status pf_machine_check(uint32_t vlen_min, uint32_t half);
/* Whether the program may read its cycle counter: Linux allows it or not. */
bool pf_machine_has_cycles(void);

uint64_t pf_machine_cycles(void);

/* Whether QEMU user mode runs the program, so that its clock says nothing about any machine. */
bool pf_machine_is_emulated(void);

#endif
