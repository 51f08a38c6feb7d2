#define _GNU_SOURCE 1 /* POSIX beside C11 */
#include <string.h>
#include <unistd.h>

#include "pf_runner.h"

static const char help[] =
    "Runs the model that is linked into this program.\n"
    "\n"
    "  --input NAME=FILE   an input, as .npy or as raw little-endian elements. With one dimension more in\n"
    "                      front (or several times the bytes) it is a batch: one inference for each entry.\n"
    "                      Without any --input the inputs are fixed pseudo-random numbers.\n"
    "  --output-dir DIR    write every output there as .npy, stacked for a batch\n"
    "  --repeat N          run everything N times (default 1)\n"
    "  --profile           measure every step\n"
    "  --list              show inputs, outputs, memory and steps; run nothing\n"
    "  --help              show this\n"
    "\n"
    "Exit status: 0 done, 2 bad option, 4 bad input, 6 wrong machine, 8 file or memory trouble.\n";

const char *pf_file_for(const char *argument, const pf_tensor_info *input) {
    size_t n = strlen(input->name);
    if (strncmp(argument, input->name, n) == 0 && argument[n] == '=') return argument + n + 1;
    return pf_model.n_inputs == 1 && !strchr(argument, '=') ? argument : NULL; /* it can only be the one */
}

static void check_input(const char *argument) {
    for (uint32_t i = 0; i < pf_model.n_inputs; i++) {
        if (pf_file_for(argument, &pf_model.inputs[i])) return;
    }
    pf_put(&pf_err, "inputs of the model:");
    for (uint32_t i = 0; i < pf_model.n_inputs; i++) {
        pf_put(&pf_err, " ");
        pf_put(&pf_err, pf_model.inputs[i].name);
    }
    pf_put(&pf_err, "\n");
    pf_stop(PF_EXIT_INPUT, "--input ", argument, " names no input of the model (NAME=FILE)", 0);
}

static uint64_t count_of(const char *digits) {
    uint64_t value = 0;
    for (const char *at = digits; *at; at++) {
        if (*at < '0' || *at > '9' || value >= 100000000)
            pf_stop(PF_EXIT_USAGE, "--repeat cannot be ", digits, 0, 0);
        value = value * 10 + (uint64_t)(*at - '0');
    }
    if (value == 0) pf_stop(PF_EXIT_USAGE, "--repeat takes a number from 1 up, not '", digits, "'", 0);
    return value;
}

/* The value of "--name VALUE" or "--name=VALUE" at argv[*at], or null if that is another option. */
static const char *value_of(const char *name, int argc, char **argv, int *at) {
    size_t n = strlen(name);
    if (strncmp(argv[*at], name, n) != 0) return NULL;
    if (argv[*at][n] == '=') return argv[*at] + n + 1;
    if (argv[*at][n]) return NULL;
    if (*at + 1 == argc) pf_stop(PF_EXIT_USAGE, name, " needs a value; see --help", 0, 0);
    return argv[++*at];
}

pf_options pf_read_options(int argc, char **argv) {
    pf_options options = {.repeat = 1};
    const char **inputs = pf_need((size_t)argc * sizeof *inputs), *value;
    options.inputs = inputs;
    for (int i = 1; i < argc; i++) {
        if ((value = value_of("--input", argc, argv, &i))) {
            check_input(value);
            inputs[options.n_inputs++] = value;
        } else if ((value = value_of("--output-dir", argc, argv, &i))) {
            options.output_dir = value;
        } else if ((value = value_of("--repeat", argc, argv, &i))) {
            options.repeat = count_of(value);
        } else if (strcmp(argv[i], "--profile") == 0) {
            options.profile = true;
        } else if (strcmp(argv[i], "--list") == 0) {
            options.list = true;
        } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            pf_put(&pf_out, help);
            pf_flush(&pf_out);
            _exit(PF_EXIT_OK);
        } else {
            pf_stop(PF_EXIT_USAGE, "unknown option '", argv[i], "'; see --help", 0);
        }
    }
    return options;
}
