/* A tile function of winograd.c, which includes this file once for each LMUL and number of rows: ROWS Winograd tiles
 * by one chunk of columns, in ROWS accumulators of LMUL vector registers. ROLL(X, a) is X(0, a) ... X(ROWS - 1, a).
 *
 * The sum is one block of assembler, because clang hoists loads until the accumulators spill. It is software
 * pipelined: after row r is multiplied by its scalar, that row's scalar of the next step is loaded, and after the
 * last row the weights of the next step. So at the end of PITCH channels and of the weights it reads one step too
 * far: that is still scratch, and the zeros after the weights. */

#define F32 PF_JOIN(vfloat32m, LMUL, _t)
#define ROW_LOAD(r, at) "flw %[s" #r "], " #r "*128+" #at "(%[v])\n\t"
#define ROW_FIRST(r, at) "vfmul.vf %[c" #r "], %[x], %[s" #r "]\n\t" ROW_LOAD(r, at)
#define ROW_STEP(r, at) "vfmacc.vf %[c" #r "], %[s" #r "], %[x]\n\t" ROW_LOAD(r, at)
#define WEIGHTS "vle32.v %[x], (%[w])\n\tadd %[w], %[w], %[w_step]\n\t"
#define STEP(at) ROLL(ROW_STEP, at) WEIGHTS
#define SUM(r, _) F32 c##r;
#define SCALAR(r, _) float s##r;
#define OUT(r, _) , [c##r] "=&vr"(c##r), [s##r] "=&f"(s##r)
#define BIAS(r, _) c##r = __riscv_vfadd(c##r, bias, p->vl);
#define STORE(r, _)                \
    __riscv_vse32(m, c##r, p->vl); \
    m += p->m_row;

/* clang-format off */
static __attribute__((noinline)) void PF_JOIN(tile_m, LMUL, PF_JOIN(_, ROWS, ))(const struct product *p, const float *v,
                                                                               const float *w, float *m) {
    ROLL(SUM, )
    ROLL(SCALAR, )
    F32 x;
    int64_t blocks = p->blocks, quads = blocks == 1 ? p->last_quads : PITCH / 4, t = (int64_t)p->vl;
    __asm__ volatile(
        "vsetvli zero, %[t], e32, m" PF_TEXT(LMUL) ", ta, ma\n\t"
        WEIGHTS
        ROLL(ROW_LOAD, 0)
        ROLL(ROW_FIRST, 4)
        WEIGHTS
        "j 3f\n"

        "1:\n\t" /* the next PITCH channels */
        ROLL(ROW_LOAD, 0)
        "2:\n\t"
        STEP(4)
        "3:\n\t"
        STEP(8) STEP(12) STEP(16)
        "addi %[v], %[v], 16\n\t"
        "addi %[quads], %[quads], -1\n\t"
        "bnez %[quads], 2b\n\t"

        "addi %[blocks], %[blocks], -1\n\t"
        "beqz %[blocks], 4f\n\t"
        "add %[v], %[v], %[skip]\n\t"
        "li %[quads], 8\n\t"
        "addi %[t], %[blocks], -1\n\t"
        "bnez %[t], 1b\n\t"
        "mv %[quads], %[last_quads]\n\t"
        "j 1b\n"
        "4:\n\t"
        : [x] "=&vr"(x), [v] "+r"(v), [w] "+r"(w), [blocks] "+r"(blocks), [quads] "+r"(quads),
          [t] "+r"(t) ROLL(OUT, )
        : [w_step] "r"(p->w_row * sizeof *w), [skip] "r"((p->v_block - PITCH) * sizeof *v),
          [last_quads] "r"((int64_t)p->last_quads)
        : "memory");
    /* clang-format on */
    if (p->bias) {
        const F32 bias = PF_JOIN(__riscv_vle32_v_f32m, LMUL, )(p->bias, p->vl);
        ROLL(BIAS, )
    }
    ROLL(STORE, )
}

#undef F32
#undef ROW_LOAD
#undef ROW_FIRST
#undef ROW_STEP
#undef WEIGHTS
#undef STEP
#undef SUM
#undef SCALAR
#undef OUT
#undef BIAS
#undef STORE
#undef ROWS
#undef ROLL
