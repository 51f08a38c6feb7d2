/* Runs the inferences, between marks for the counting plugin and under a clock. */
#define _GNU_SOURCE 1 /* POSIX beside C11 */
#include <time.h>

#include "pf_machine.h"
#include "pf_mark.h"
#include "pf_runner.h"

typedef pf_status run_function(const void *weights, void *arena, const void *const *inputs,
                               void *const *outputs, pf_step_hook *hook, void *hook_context);

#define EMPTY_STEP UINT32_MAX /* its mark is PF_MARK_EMPTY_STEP */

typedef struct {
    uint64_t ns, cycles;
} spent;

static struct {
    bool cycles; /* the cycle counter can be read */
    spent began, *steps;
} profile;

static spent now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (spent){(uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec,
                   profile.cycles ? pf_machine_cycles() : 0};
}

/* Nothing stands between the marks and the step but the return from here and the call to here. */
static void on_step(void *context, uint32_t step, int after) {
    (void)context;
    int64_t tag = step == EMPTY_STEP ? PF_MARK_EMPTY_STEP : PF_MARK_STEP + (int64_t)step;
    if (!after) {
        profile.began = now();
        pf_mark(tag);
        return;
    }
    pf_mark(PF_MARK_OUTSIDE);
    if (step >= pf_model.n_steps) return;
    spent ended = now();
    profile.steps[step].ns += ended.ns - profile.began.ns;
    profile.steps[step].cycles += ended.cycles - profile.began.cycles;
}

/* An inference of no model, of exactly two instructions: what else is counted in it is the cost of marking one. */
#if defined(__riscv)
run_function pf_empty;
__asm__(".pushsection .text.pf_empty, \"ax\", @progbits\npf_empty: li a0, 0\n ret\n.popsection\n");
#else
static pf_status pf_empty(const void *weights, void *arena, const void *const *inputs, void *const *outputs,
                          pf_step_hook *hook, void *hook_context) {
    (void)weights, (void)arena, (void)inputs, (void)outputs, (void)hook, (void)hook_context;
    return PF_OK;
}
#endif

static pf_status empty_step(const void *weights, void *arena, const void *const *inputs, void *const *outputs,
                            pf_step_hook *hook, void *hook_context) {
    (void)weights, (void)arena, (void)inputs, (void)outputs;
    hook(hook_context, EMPTY_STEP, 0);
    hook(hook_context, EMPTY_STEP, 1);
    return PF_OK;
}

/* The one place where inferences are called from, so that an empty one costs the same around the call. */
static __attribute__((noinline)) pf_status infer(run_function *run, int64_t tag, void *arena,
                                                 const void *const *inputs, void *const *outputs) {
    pf_step_hook *hook = profile.steps ? on_step : NULL;
    const unsigned char *weights = pf_model.weights;
    pf_mark(tag);
    pf_status status = run(weights, arena, inputs, outputs, hook, NULL);
    pf_mark(PF_MARK_OUTSIDE);
    return status;
}

static void print_times(uint64_t inferences, spent total, uint64_t least_ns) {
    if (pf_machine_is_emulated()) {
        pf_put(&pf_out, "time is not shown: this is an emulator (`pilotfish count` counts instructions)\n");
        return;
    }
    const uint64_t numbers[] = {inferences, total.ns / inferences, least_ns, total.cycles / inferences};
    pf_put(&pf_out,
           "# inferences, mean ns, least ns, mean cycles (0: the counter cannot be read)\ninference");
    for (int i = 0; i < 4; i++) {
        pf_put(&pf_out, "\t");
        pf_put_number(&pf_out, numbers[i]);
    }
    pf_put(&pf_out, "\n# step, mean ns, mean cycles, name\n");
    for (uint32_t i = 0; i < pf_model.n_steps; i++) {
        const uint64_t step[] = {i, profile.steps[i].ns / inferences, profile.steps[i].cycles / inferences};
        pf_put(&pf_out, "step");
        for (int j = 0; j < 3; j++) {
            pf_put(&pf_out, "\t");
            pf_put_number(&pf_out, step[j]);
        }
        pf_put(&pf_out, "\t");
        pf_put(&pf_out, pf_model.step_names ? pf_model.step_names[i] : "");
        pf_put(&pf_out, "\n");
    }
}

void pf_infer_all(const pf_options *options, const pf_tensor *inputs, const pf_tensor *outputs,
                  uint64_t batch) {
    /* Volatile, or the compiler makes a copy of infer() for each of the functions. */
    run_function *volatile run = pf_empty;
    const void **in = pf_need(pf_model.n_inputs * sizeof *in);
    void **out = pf_need(pf_model.n_outputs * sizeof *out), *arena = pf_need(pf_model.arena_bytes);
    infer(run, PF_MARK_EMPTY, arena, in, out);
    if (options->profile) {
        profile.cycles = pf_machine_has_cycles();
        profile.steps = pf_need((pf_model.n_steps + 1) * sizeof *profile.steps);
        infer(run = empty_step, PF_MARK_EMPTY, arena, in, out);
    }
    run = pf_model.run;
    spent total = {0, 0};
    uint64_t least_ns = UINT64_MAX, inferences = options->repeat * batch;
    for (uint64_t i = 0; i < inferences; i++) {
        uint64_t entry = i % batch;
        for (uint32_t k = 0; k < pf_model.n_inputs; k++)
            in[k] = inputs[k].data + (inputs[k].stacked ? entry * pf_model.inputs[k].bytes : 0);
        for (uint32_t k = 0; k < pf_model.n_outputs; k++)
            out[k] = outputs[k].data + entry * pf_model.outputs[k].bytes;
        spent before = now();
        pf_status status = infer(run, PF_MARK_INFERENCE + (int64_t)i, arena, in, out);
        spent after = now();
        if (status != PF_OK) pf_stop(PF_EXIT_BUG, "the model refused its own memory: this is a bug", 0, 0, 0);
        total.ns += after.ns - before.ns;
        total.cycles += after.cycles - before.cycles;
        if (after.ns - before.ns < least_ns) least_ns = after.ns - before.ns;
    }
    if (options->profile) print_times(inferences, total, least_ns);
}
