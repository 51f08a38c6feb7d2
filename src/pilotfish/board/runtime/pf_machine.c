#define _GNU_SOURCE 1 /* POSIX beside C11 */
#include "pf_machine.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#if defined(__riscv)

/* Tries an instruction that may be illegal. A hardware capability bit alone would not do: QEMU 7.2 does not set it for
 * V, and Linux can deny V or the cycle counter to a process although the hardware has them. */
static sigjmp_buf back;

static void on_illegal(int number) {
    (void)number;
    siglongjmp(back, 1);
}

static bool attempt(uint64_t (*read)(void), uint64_t *value) {
    struct sigaction ours, before;
    bool works = false;
    memset(&ours, 0, sizeof ours);
    ours.sa_handler = on_illegal;
    if (sigaction(SIGILL, &ours, &before) != 0) return false;
    if (sigsetjmp(back, 1) == 0) {
        *value = read();
        works = true;
    }
    sigaction(SIGILL, &before, NULL);
    return works;
}

static uint64_t read_vlenb(void) {
    uint64_t vlenb;
    __asm__ volatile("csrr %0, 0xc22" : "=r"(vlenb));
    return vlenb;
}

/* vsetvli t0, x0, e32, m1, ta, ma. The drafts before 1.0, whose vlenb reads alike, take its last bits for a vtype that
 * they do not have and give 0. */
static uint64_t read_vlmax32(void) {
    uint64_t elements;
    __asm__ volatile(".4byte 0x0d0072d7\n mv %0, t0" : "=r"(elements) : : "t0");
    return elements;
}

uint32_t pf_machine_vlen(void) {
    uint64_t vlenb = 0, elements = 0;
    if (!attempt(read_vlenb, &vlenb) || !attempt(read_vlmax32, &elements)) return 0;
    return elements * 4 == vlenb && vlenb <= 8192 ? (uint32_t)vlenb * 8 : 0;
}

uint64_t pf_machine_cycles(void) {
    uint64_t cycles;
    __asm__ volatile("csrr %0, 0xc00" : "=r"(cycles)); /* rdcycle */
    return cycles;
}

bool pf_machine_has_cycles(void) {
    uint64_t cycles;
    return attempt(pf_machine_cycles, &cycles);
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

pf_status pf_machine_check(uint32_t vlen_min) {
    if (vlen_min == 0) return PF_OK;
    uint32_t vlen = pf_machine_vlen();
    return vlen >= vlen_min ? PF_OK : vlen ? PF_ERR_MACHINE_VLEN : PF_ERR_MACHINE_NO_VECTOR;
}
