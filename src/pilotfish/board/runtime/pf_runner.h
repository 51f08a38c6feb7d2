/* What the runner's parts share. The runner is the program around a model: it reads inputs, runs, writes outputs. */
#ifndef PF_RUNNER_H
#define PF_RUNNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pf_model.h"
#include "pf_text.h"

/* The model that is linked in; PF_SYMBOL is the prefix of its public names. */
#ifndef PF_SYMBOL
#define PF_SYMBOL model
#endif
#define PF_PASTE_(a, b) a##b
#define PF_PASTE(a, b) PF_PASTE_(a, b)
#define pf_model PF_PASTE(PF_SYMBOL, _info)
extern const pf_model_info pf_model;

/* Exit statuses: those of pilotfish/errors.py. */
enum {
    PF_EXIT_OK = 0,
    PF_EXIT_BUG = 1,
    PF_EXIT_USAGE = 2,
    PF_EXIT_INPUT = 4,
    PF_EXIT_MACHINE = 6,
    PF_EXIT_STORAGE = 8,
    PF_EXIT_INTERRUPTED = 130
};

typedef struct {
    const char *const *inputs; /* the values of --input */
    int n_inputs;
    const char *output_dir; /* null: outputs are not written */
    uint64_t repeat;
    bool profile, list;
} pf_options;

extern pf_text pf_out, pf_err;

/* Ends the program with a sentence: up to four parts that belong together, null where there is none. */
_Noreturn void pf_stop(int status, const char *a, const char *b, const char *c, const char *d);
/* Zeroed, aligned to a page; ends the program if there is not that much. */
void *pf_need(size_t bytes);

/* pf_options.c */
pf_options pf_read_options(int argc, char **argv);
/* The file that an argument NAME=FILE names if it is for this input, else null. */
const char *pf_file_for(const char *argument, const pf_tensor_info *input);

/* pf_tensors.c: a tensor of each input and output of the model. */
typedef struct {
    unsigned char *data;
    bool stacked; /* one entry for each inference of the batch, not one for all */
} pf_tensor;

/* Fills `in` from files or with pseudo-random numbers. Returns the length of the batch; `batched` is whether any file
 * had the dimension for it. */
uint64_t pf_load_inputs(const pf_options *options, pf_tensor *in, bool *batched);
void pf_save_outputs(const pf_options *options, const pf_tensor *outputs, uint64_t batch, bool batched);
/* The name, without folder, of the file that an output is written to. */
void pf_output_file(uint32_t output, char name[256]);

/* pf_infer.c: runs everything, with marks for the counting plugin; prints times unless emulated. */
void pf_infer_all(const pf_options *options, const pf_tensor *inputs, const pf_tensor *outputs,
                  uint64_t batch);

#endif
