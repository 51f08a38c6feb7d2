#define _GNU_SOURCE 1 /* POSIX beside C11 */
#include "pf_machine.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__riscv)

/* Tries an instruction that may be illegal. A hardware capability bit alone would not do: QEMU 7.2 does not set it for
 * V, and Linux can deny V or the cycle counter to a process although the hardware has them.
 *
 * The handler steps over the instruction. It keeps nothing, and the one thing here that libraries of C lay out, the
 * context of a signal, is laid out by Linux: libmodel.a links with any of them. (Not so jmp_buf and sigsetjmp.) */
static void step_over(int number, siginfo_t *info, void *context) {
    (void)number, (void)info;
    ((ucontext_t *)context)->uc_mcontext.__gregs[0] += 4; /* pc; every instruction tried has 4 bytes */
}

/* What `read` gives, or the 0 it begins with. One thread at a time, as a handler is the whole process's. */
static uint64_t attempt(uint64_t (*read)(void)) {
    static atomic_flag busy = ATOMIC_FLAG_INIT;
    struct sigaction ours, before;
    uint64_t value = 0;
    memset(&ours, 0, sizeof ours);
    ours.sa_sigaction = step_over;
    ours.sa_flags = SA_SIGINFO;
    while (atomic_flag_test_and_set(&busy)) {
    }
    if (sigaction(SIGILL, &ours, &before) == 0) {
        value = read();
        sigaction(SIGILL, &before, NULL);
    }
    atomic_flag_clear(&busy);
    return value;
}

static uint64_t read_vlenb(void) {
    uint64_t vlenb = 0;
    __asm__ volatile("csrr %0, 0xc22" : "+r"(vlenb));
    return vlenb;
}

/* vsetvli t0, x0, e32, m1, ta, ma. The drafts before 1.0, whose vlenb reads alike, take its last bits for a vtype that
 * they do not have and give 0. */
static uint64_t read_vlmax32(void) {
    uint64_t elements;
    __asm__ volatile("li t0, 0\n .4byte 0x0d0072d7\n mv %0, t0" : "=r"(elements) : : "t0");
    return elements;
}

uint32_t pf_machine_vlen(void) {
    uint64_t vlenb = attempt(read_vlenb);
    uint64_t elements = vlenb ? attempt(read_vlmax32) : 0;
    return vlenb && elements * 4 == vlenb && vlenb <= 8192 ? (uint32_t)vlenb * 8 : 0;
}

/* vsetvli t0, x0, e16, m1, ta, ma; vfmv.f.s fa0, v0 (Zvfh), and fmv.h.x fa0, x0 (Zfhmin), which QEMU 7.2 knows only with
 * Zfh. Both fill the bits above the float16 with ones. */
static uint64_t read_half(void) {
    uint64_t vector, scalar;
    __asm__ volatile(
        "fmv.d.x fa0, x0\n .4byte 0x0c8072d7\n .4byte 0x42001557\n fmv.x.d %0, fa0\n"
        "fmv.d.x fa0, x0\n .4byte 0xf4000553\n fmv.x.d %1, fa0"
        : "=&r"(vector), "=r"(scalar)
        :
        : "t0", "fa0");
    return vector & scalar;
}

bool pf_machine_has_half(void) {
    return attempt(read_half) >> 16 == 0xffffffffffff;
}

uint64_t pf_machine_cycles(void) {
    uint64_t cycles = 0;
    __asm__ volatile("csrr %0, 0xc00" : "+r"(cycles)); /* rdcycle */
    return cycles;
}

bool pf_machine_has_cycles(void) {
    return attempt(pf_machine_cycles) != 0;
}

/* A RISC-V kernel's list of processors names harts. QEMU shows the list of the machine it runs on, or, since 8.1, one
 * of its own that says so. */
bool pf_machine_is_emulated(void) {
    char list[4097];
    int file = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    ssize_t n = read(file, list, sizeof list - 1);
    close(file);
    list[n > 0 ? n : 0] = 0;
    return n > 0 && (!strstr(list, "hart") || strstr(list, ": qemu"));
}

#else

uint32_t pf_machine_vlen(void) {
    return 0;
}
bool pf_machine_has_half(void) {
    return false;
}
uint64_t pf_machine_cycles(void) {
    return 0;
}
bool pf_machine_has_cycles(void) {
    return false;
}
bool pf_machine_is_emulated(void) {
    return false;
}

#endif

pf_status pf_machine_check(uint32_t vlen_min, uint32_t half) {
    if (vlen_min == 0) return PF_OK;
    uint32_t vlen = pf_machine_vlen();
    if (vlen < vlen_min) return vlen ? PF_ERR_MACHINE_VLEN : PF_ERR_MACHINE_NO_VECTOR;
    return half && !pf_machine_has_half() ? PF_ERR_MACHINE_NO_HALF : PF_OK;
}
