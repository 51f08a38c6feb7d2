/* The program around a model. One static file that needs nothing else on a board. It is compiled without vectors, so
 * that it can say when the machine has none. */
#define _GNU_SOURCE 1 /* POSIX beside C11 */
#include "pf_runner.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "pf_file.h"
#include "pf_machine.h"
#include "pf_npy.h"

pf_text pf_out = {.file = 1}, pf_err = {.file = 2};

void pf_stop(int status, const char *a, const char *b, const char *c, const char *d) {
    const char *parts[] = {pf_model.name, ": ", a, b, c, d, "\n"};
    pf_flush(&pf_out);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i]) pf_put(&pf_err, parts[i]);
    }
    pf_flush(&pf_err);
    _exit(status);
}

void *pf_need(size_t bytes) {
    void *made = pf_memory(bytes);
    if (!made) pf_stop(PF_EXIT_STORAGE, "not enough memory", 0, 0, 0);
    return made;
}

static void on_interrupt(int number) {
    (void)number;
    pf_file_abandon();
    _exit(PF_EXIT_INTERRUPTED);
}

static void on_illegal(int number) {
    static const char words[] =
        "this machine does not know an instruction of the program: compile for its target\n";
    (void)number;
    pf_file_abandon();
    _exit(write(2, words, sizeof words - 1) < 0 ? PF_EXIT_MACHINE : PF_EXIT_MACHINE);
}

static void handle(int number, void (*handler)(int)) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    sigaction(number, &action, NULL);
}

static void check_machine(void) {
    const pf_status status = pf_machine_check(pf_model.vlen_min, pf_model.half);
    if (status == PF_OK) return;
    uint32_t vlen = pf_machine_vlen();
    pf_put(&pf_err, pf_model.name);
    if (status == PF_ERR_MACHINE_NO_HALF) {
        pf_put(&pf_err,
               ": the program computes in vectors of float16 (Zvfh), which this machine has not: compile "
               "with --precision fp32\n");
        pf_flush(&pf_err);
        _exit(PF_EXIT_MACHINE);
    }
    pf_put(&pf_err, ": the program needs vector registers (RVV 1.0) of ");
    pf_put_number(&pf_err, pf_model.vlen_min);
    pf_put(&pf_err, " bits or more, and this machine");
    if (vlen) {
        pf_put(&pf_err, "'s have ");
        pf_put_number(&pf_err, vlen);
        pf_put(&pf_err, ": compile for a smaller VLEN\n");
    } else {
        pf_put(&pf_err, " has none: compile for a target without vectors\n");
    }
    pf_flush(&pf_err);
    _exit(PF_EXIT_MACHINE);
}

static void list_tensor(const char *what, const pf_tensor_info *tensor, const char *file) {
    const char *parts[] = {what, "\t", tensor->name, "\t", pf_dtype_name(tensor->dtype), "\t"};
    for (int i = 0; i < 6; i++) pf_put(&pf_out, parts[i]);
    pf_put_shape(&pf_out, tensor->rank, tensor->shape);
    pf_put(&pf_out, file ? "\t" : "");
    pf_put(&pf_out, file ? file : "");
    pf_put(&pf_out, "\n");
}

static void list_number(const char *what, uint64_t value) {
    pf_put(&pf_out, what);
    pf_put_number(&pf_out, value);
    pf_put(&pf_out, "\n");
}

/* Lines of fields with tabs between them, for people and programs. */
static void list(void) {
    char file[256];
    pf_put(&pf_out, "model\t");
    pf_put(&pf_out, pf_model.name);
    pf_put(&pf_out, "\n");
    for (uint32_t i = 0; i < pf_model.n_inputs; i++) list_tensor("input", &pf_model.inputs[i], NULL);
    for (uint32_t i = 0; i < pf_model.n_outputs; i++) {
        pf_output_file(i, file);
        list_tensor("output", &pf_model.outputs[i], file);
    }
    list_number("arena_bytes\t", pf_model.arena_bytes);
    list_number("weights_bytes\t", pf_model.weights_bytes);
    list_number("vlen_min\t", pf_model.vlen_min);
    for (uint32_t i = 0; i < pf_model.n_steps; i++) {
        pf_put(&pf_out, "step\t");
        pf_put_number(&pf_out, i);
        pf_put(&pf_out, "\t");
        pf_put(&pf_out, pf_model.step_names ? pf_model.step_names[i] : "");
        pf_put(&pf_out, "\n");
    }
    pf_flush(&pf_out);
}

int main(int argc, char **argv) {
    bool batched = false;
    pf_options options = pf_read_options(argc, argv);
    if (options.list) {
        list();
        return PF_EXIT_OK;
    }
    check_machine();
    handle(SIGILL, on_illegal);
    handle(SIGINT, on_interrupt);
    handle(SIGTERM, on_interrupt);
    pf_tensor *inputs = pf_need(pf_model.n_inputs * sizeof *inputs);
    pf_tensor *outputs = pf_need(pf_model.n_outputs * sizeof *outputs);
    uint64_t batch = pf_load_inputs(&options, inputs, &batched);
    for (uint32_t i = 0; i < pf_model.n_outputs; i++) {
        size_t bytes;
        if (__builtin_mul_overflow(pf_model.outputs[i].bytes, (size_t)batch, &bytes))
            pf_stop(PF_EXIT_STORAGE, "not enough memory for the outputs of so large a batch", 0, 0, 0);
        outputs[i] = (pf_tensor){pf_need(bytes), true};
    }
    pf_infer_all(&options, inputs, outputs, batch);
    if (options.output_dir) pf_save_outputs(&options, outputs, batch, batched);
    pf_flush(&pf_out);
    return PF_EXIT_OK;
}
