/* A QEMU TCG plugin that counts executed RISC-V instructions exactly, by class and weighted by LMUL.
 *
 * The guest marks places by the system call 0x5256, with a tag as its argument. Each mark ends an interval,
 * and a line of JSON says what was executed in it:
 *     {"tag": T, "scalar": n, "vset": n, "arith": n, "unit": n, "strided": n, "indexed": n,
 *      "arith_slots": n, "memory_slots": n, "unknown": n}
 * T is the tag of the mark that began the interval (-1: the program's start). The `ecall` of the mark that
 * ends it is counted in it. `unknown` are vector instructions whose vtype could not be followed: their slots
 * are wrong. The last line has "end": 1; a file without it is of a program that was killed.
 *
 * Counting is by translation block: what a block executes is known when it is translated, but for the weight
 * of the vector instructions before its first vset, which depends on the vtype at its entry. Those are
 * weighed once for each vtype that the block is entered with. A block that faults in its middle would be
 * counted whole.
 *
 * Arguments: out=PATH. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pf_qemu_plugin.h"
#include "pf_weight.h"

#define MARK 0x5256

PF_EXPORT int qemu_plugin_version = PF_PLUGIN_API;

typedef struct {
    uint64_t by_class[PF_CLASSES], arith_slots, memory_slots, unknown;
} counts;

typedef struct {
    counts fixed;                          /* what does not depend on the vtype at entry */
    counts *entered[PF_VTYPE_UNKNOWN + 1]; /* the whole, for each vtype at entry; made on first use */
    uint32_t n_open;
    bool sets; /* has a vset: then `leaves` is the vtype after it */
    pf_vtype leaves;
    uint32_t open[]; /* the vector instructions before the first vset */
} block;

static counts total;
static pf_vtype vtype = PF_VTYPE_UNKNOWN;
static int64_t tag = -1;
static int out = -1;
static bool failed;

/* For words that stop the run: QEMU gives a plugin no other way to say what is wrong. */
static void fail(const char *why) {
    if (!failed) {
        qemu_plugin_outs(why);
        if (write(2, why, strlen(why)) < 0) { /* nothing more can be done */
        }
    }
    failed = true;
}

static void *allocate(size_t bytes) {
    void *made = calloc(1, bytes);
    if (!made) {
        fail("pf_count: out of memory\n");
        _exit(5);
    }
    return made;
}

static void weigh(counts *into, uint32_t word, pf_vtype at) {
    enum pf_class is = pf_classify(word);
    if (at == PF_VTYPE_UNKNOWN && !pf_fixed_weight(word)) into->unknown++, at = 0;
    *(is == PF_ARITH ? &into->arith_slots : &into->memory_slots) += pf_weight(word, at);
}

static void on_execute(unsigned int vcpu, void *data) {
    block *b = data;
    counts *c = b->entered[vtype];
    (void)vcpu;
    if (!c) {
        c = allocate(sizeof *c);
        *c = b->fixed;
        for (uint32_t i = 0; i < b->n_open; i++) weigh(c, b->open[i], vtype);
        b->entered[vtype] = c;
    }
    for (int i = 0; i < PF_CLASSES; i++) total.by_class[i] += c->by_class[i];
    total.arith_slots += c->arith_slots;
    total.memory_slots += c->memory_slots;
    total.unknown += c->unknown;
    if (b->sets) vtype = b->leaves;
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
    size_t n = qemu_plugin_tb_n_insns(tb);
    block *b = allocate(sizeof *b + n * sizeof b->open[0]);
    (void)id;
    for (size_t i = 0; i < n; i++) {
        const struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        uint32_t word = 0;
        if (qemu_plugin_insn_size(insn) == 4) memcpy(&word, qemu_plugin_insn_data(insn), 4);
        enum pf_class is = pf_classify(word); /* a compressed instruction, as 0, is scalar */
        b->fixed.by_class[is]++;
        if (is == PF_VSET) {
            b->sets = true;
            b->leaves = pf_vset_result(word);
        } else if (is != PF_SCALAR) {
            if (b->sets)
                weigh(&b->fixed, word, b->leaves);
            else
                b->open[b->n_open++] = word;
        }
    }
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_execute, QEMU_PLUGIN_CB_NO_REGS, b);
}

static void print(const char *last) {
    char line[512];
    const uint64_t *n = total.by_class;
    int length = snprintf(
        line, sizeof line,
        "{\"tag\": %lld, \"scalar\": %llu, \"vset\": %llu, \"arith\": %llu, \"unit\": %llu, "
        "\"strided\": %llu, \"indexed\": %llu, \"arith_slots\": %llu, \"memory_slots\": %llu, "
        "\"unknown\": %llu%s}\n",
        (long long)tag, (unsigned long long)n[PF_SCALAR], (unsigned long long)n[PF_VSET],
        (unsigned long long)n[PF_ARITH], (unsigned long long)n[PF_UNIT], (unsigned long long)n[PF_STRIDED],
        (unsigned long long)n[PF_INDEXED], (unsigned long long)total.arith_slots,
        (unsigned long long)total.memory_slots, (unsigned long long)total.unknown, last);
    if (write(out, line, (size_t)length) != length) fail("pf_count: cannot write the counts\n");
    memset(&total, 0, sizeof total);
}

static void on_syscall(qemu_plugin_id_t id, unsigned int vcpu, int64_t number, uint64_t a1, uint64_t a2,
                       uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
    (void)id, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (vcpu != 0) fail("pf_count: the program has threads; only one can be counted\n");
    if (number != MARK) return;
    print("");
    tag = (int64_t)a1;
}

static void at_exit(qemu_plugin_id_t id, void *data) {
    (void)id, (void)data;
    if (!failed) print(", \"end\": 1");
}

PF_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
    if (info->version.min > PF_PLUGIN_API || info->version.cur < PF_PLUGIN_API) {
        fail("pf_count: this QEMU speaks another plugin interface than version 1 (QEMU up to 8.2)\n");
        return -1;
    }
    if (info->system_emulation || strcmp(info->target_name, "riscv64") != 0) {
        fail("pf_count: it counts what qemu-riscv64 (user mode) runs, nothing else\n");
        return -1;
    }
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "out=", 4) == 0)
            out = open(argv[i] + 4, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    }
    if (out < 0) {
        fail("pf_count: cannot write the file of the argument out=PATH\n");
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
    qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
    qemu_plugin_register_atexit_cb(id, at_exit, NULL);
    return 0;
}
