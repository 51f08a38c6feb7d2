/* What a compiled model shows of itself: one constant table of type pf_model_info. The generated code defines
 * it; the runner reads it, and the public header of the library carries this file. Plain C11, no libc calls. */
#ifndef PF_MODEL_H
#define PF_MODEL_H

#include <stddef.h>
#include <stdint.h>

/* The size of one element is pf_dtype_bytes(); a bool is one byte, 0 or 1. */
typedef enum {
    PF_F32 = 0,
    PF_F64,
    PF_F16,
    PF_I8,
    PF_U8,
    PF_I16,
    PF_U16,
    PF_I32,
    PF_U32,
    PF_I64,
    PF_U64,
    PF_BOOL,
    PF_DTYPES /* how many there are */
} pf_dtype;

typedef enum {
    PF_OK = 0,
    PF_ERR_ARGUMENT,          /* a null pointer where one is needed, or a count that does not fit */
    PF_ERR_ARENA,             /* the arena is too small or not aligned to PF_ALIGN */
    PF_ERR_WEIGHTS,           /* the weights are of another size than the model's */
    PF_ERR_MACHINE_NO_VECTOR, /* the program needs the V extension and the machine has none */
    PF_ERR_MACHINE_VLEN,      /* the machine's vector registers are shorter than the program allows */
    PF_ERR_MACHINE_NO_HALF /* the program computes in vectors of float16 (Zvfh), which the machine has not */
} pf_status;

/* Bytes that the arena and the weights are aligned to. Inputs and outputs need the alignment of an element. */
#define PF_ALIGN 64

/* Most dimensions that a tensor may have. */
#define PF_RANK_MAX 8

typedef struct {
    const char *name;
    pf_dtype dtype;
    uint32_t rank;        /* 0 for a scalar, at most PF_RANK_MAX */
    const int64_t *shape; /* `rank` sizes; may be null if rank is 0 */
    size_t bytes;         /* element count times element size; row-major, no gaps */
} pf_tensor_info;

/* Called before (`after` = 0) and after (`after` = 1) step number `step`, if not null. */
typedef void pf_step_hook(void *context, uint32_t step, int after);

typedef struct {
    const char *name;
    uint32_t n_inputs, n_outputs, n_steps;
    const pf_tensor_info *inputs, *outputs;
    const char *const *step_names; /* n_steps of them: "<node>|<kernel>"; may be null */
    size_t arena_bytes;            /* scratch memory that run() needs; its content matters to nobody */
    size_t weights_bytes;
    const unsigned char *weights; /* linked in, aligned to PF_ALIGN; null if weights_bytes is 0 */
    uint32_t vlen_min; /* shortest vector registers, in bits, that run() works with; 0: needs none */
    uint32_t half;     /* 1: run() computes in vectors of float16 (Zvfh) */
    /* One inference. Reads and writes nothing but what it is given, so that two may run at once with an arena
     * each. Its status is PF_OK unless a pointer is null or misaligned. */
    pf_status (*run)(const void *weights, void *arena, const void *const *inputs, void *const *outputs,
                     pf_step_hook *hook, void *hook_context);
} pf_model_info;

#endif
