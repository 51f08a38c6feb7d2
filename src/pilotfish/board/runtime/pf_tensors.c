/* The model's inputs, out of files or made up, and its outputs, into files. */
#define _GNU_SOURCE 1 /* POSIX beside C11 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pf_file.h"
#include "pf_npy.h"
#include "pf_runner.h"

static const char *reason(int why) {
    static const struct {
        int number;
        const char *words;
    } reasons[] = {
        {ENOENT, "there is no such file or folder"},
        {EACCES, "permission denied"},
        {EPERM, "permission denied"},
        {EISDIR, "it is a folder"},
        {ENOTDIR, "its path leads through a file"},
        {EINVAL, "it is not a regular file"},
        {ENOSPC, "no space left on the disk"},
        {EDQUOT, "the disk quota is used up"},
        {EROFS, "the file system is read-only"},
        {ENAMETOOLONG, "its name is too long"},
        {ENOMEM, "there is not enough memory for it"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if (reasons[i].number == why) return reasons[i].words;
    }
    return "the system reports an input or output error";
}

static void put_type(pf_dtype dtype, uint32_t rank, const int64_t *shape) {
    pf_put(&pf_err, pf_dtype_name(dtype));
    pf_put(&pf_err, " ");
    pf_put_shape(&pf_err, rank, shape);
}

/* Begins a sentence that bad_input or another caller ends: "MODEL: input 'NAME' is DTYPE SHAPE, but FILE ". */
static void begin_bad(const pf_tensor_info *input, const char *file) {
    pf_put(&pf_err, pf_model.name);
    pf_put(&pf_err, ": input '");
    pf_put(&pf_err, input->name);
    pf_put(&pf_err, "' is ");
    put_type(input->dtype, input->rank, input->shape);
    pf_put(&pf_err, ", but ");
    pf_put(&pf_err, file);
    pf_put(&pf_err, " ");
}

static _Noreturn void end_bad(const char *words) {
    pf_put(&pf_err, words);
    pf_put(&pf_err, "\n");
    pf_flush(&pf_err);
    _exit(PF_EXIT_INPUT);
}

static _Noreturn void bad_input(const pf_tensor_info *input, const char *file, const char *words) {
    begin_bad(input, file);
    end_bad(words);
}

/* How many inferences an array is for: 0 for one that is not of the input's type. */
static uint64_t entries_of(const pf_npy *array, const pf_tensor_info *input, bool *stacked) {
    uint32_t extra = array->rank - input->rank;
    if (array->dtype != input->dtype || extra > 1) return 0;
    for (uint32_t i = 0; i < input->rank; i++) {
        if (array->shape[extra + i] != input->shape[i]) return 0;
    }
    *stacked = extra == 1;
    return extra ? (uint64_t)array->shape[0] : 1;
}

static uint64_t load_npy(const pf_tensor_info *input, const char *path, size_t bytes, pf_tensor *into) {
    pf_npy array;
    pf_npy_status status = pf_npy_parse(into->data, bytes, &array);
    if (status != PF_NPY_OK) bad_input(input, path, pf_npy_words(status));
    uint64_t entries = entries_of(&array, input, &into->stacked);
    if (entries == 0) {
        begin_bad(input, path);
        pf_put(&pf_err, "is ");
        put_type(array.dtype, array.rank, array.shape);
        end_bad(" (a batch has one dimension more, in front)");
    }
    /* The memory starts at a page, so the elements are aligned there. */
    memmove(into->data, into->data + array.offset, array.bytes);
    return entries;
}

static uint64_t load_raw(const pf_tensor_info *input, const char *path, size_t bytes, pf_tensor *into) {
    uint64_t entries = input->bytes ? bytes / input->bytes : 0;
    if (entries == 0 || bytes % input->bytes) {
        begin_bad(input, path);
        pf_put(&pf_err, "has ");
        pf_put_number(&pf_err, bytes);
        pf_put(&pf_err, " bytes, which is no multiple of ");
        pf_put_number(&pf_err, input->bytes);
        end_bad(" (it has no .npy header, so it is read as raw elements)");
    }
    into->stacked = entries > 1;
    return entries;
}

static uint64_t load(const pf_tensor_info *input, const char *path, pf_tensor *into) {
    size_t bytes, length = strlen(path);
    int why = pf_file_read(path, &into->data, &bytes);
    if (why)
        pf_stop(why == ENOMEM ? PF_EXIT_STORAGE : PF_EXIT_INPUT, "cannot read ", path, ": ", reason(why));
    bool npy = pf_npy_is(into->data, bytes) || (length >= 4 && strcmp(path + length - 4, ".npy") == 0);
    uint64_t entries = (npy ? load_npy : load_raw)(input, path, bytes, into);
    if (input->dtype == PF_BOOL) {
        for (uint64_t i = 0; i < entries * input->bytes; i++) {
            if (into->data[i] > 1) bad_input(input, path, "has bytes other than 0 and 1");
        }
    }
    return entries;
}

/* SplitMix64 (Steele, Lea, Flood 2014: "Fast splittable pseudorandom number generators"). */
static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* The bits of the f16 that is `n` / 1024, for n from -1024 to 1023: exact. */
static uint16_t half_bits(int n) {
    uint32_t magnitude = (uint32_t)(n < 0 ? -n : n), exponent = 15, sign = n < 0 ? 0x8000 : 0;
    if (magnitude == 0) return 0;
    for (; magnitude < 1024; magnitude <<= 1) exponent--;
    return (uint16_t)(sign | exponent << 10 | (magnitude & 1023));
}

/* One element for each number of the generator that starts at the input's index. Floats are in [-1, 1), all of their
 * leading bits random; bytes are any; wider integers, which may be indices or masks, are 0 or 1, as bools are. */
static void make_up(uint32_t index, pf_tensor *into) {
    const pf_tensor_info *input = &pf_model.inputs[index];
    size_t size = pf_dtype_bytes(input->dtype);
    uint64_t state = index;
    into->data = pf_need(input->bytes);
    for (size_t i = 0; i < input->bytes / size; i++) {
        uint64_t z = next_random(&state), whole = z >> 63;
        float single = (float)((int64_t)(z >> 40) - 0x800000) * 0x1p-23f;
        double twice = (double)((int64_t)(z >> 11) - 0x10000000000000) * 0x1p-52;
        uint16_t half = half_bits((int)(z >> 53) - 1024);
        uint8_t byte = (uint8_t)(z >> 56);
        const void *from = &whole; /* little-endian: its first bytes are the number at every width */
        if (input->dtype == PF_F32) from = &single;
        if (input->dtype == PF_F64) from = &twice;
        if (input->dtype == PF_F16) from = &half;
        if (input->dtype == PF_I8 || input->dtype == PF_U8) from = &byte;
        memcpy(into->data + i * size, from, size);
    }
}

uint64_t pf_load_inputs(const pf_options *options, pf_tensor *in, bool *batched) {
    uint64_t batch = 1;
    for (uint32_t i = 0; i < pf_model.n_inputs; i++) {
        const char *path = NULL, *found;
        for (int j = 0; j < options->n_inputs; j++) {
            if (!(found = pf_file_for(options->inputs[j], &pf_model.inputs[i]))) continue;
            if (path) pf_stop(PF_EXIT_INPUT, "input '", pf_model.inputs[i].name, "' is given twice", 0);
            path = found;
        }
        if (!path && options->n_inputs)
            pf_stop(PF_EXIT_INPUT, "input '", pf_model.inputs[i].name, "' is missing", 0);
        if (!path) {
            make_up(i, &in[i]);
            continue;
        }
        uint64_t entries = load(&pf_model.inputs[i], path, &in[i]);
        if (!in[i].stacked) continue;
        if (*batched && entries != batch)
            pf_stop(PF_EXIT_INPUT, "the batches of the inputs differ in length: ", path, " and one before it",
                    0);
        *batched = true;
        batch = entries;
    }
    return batch;
}

/* Names may hold any character. All but letters, digits, '.', '-' and '_' become '_', and the name then ends with '~'
 * and the output's number, which keeps names distinct. */
void pf_output_file(uint32_t output, char name[256]) {
    const char *from = pf_model.outputs[output].name;
    size_t n = 0;
    bool changed = from[0] == 0;
    for (; from[n] && n < 200; n++) {
        char c = from[n];
        bool kept = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
        kept = kept || (n > 0 && (c == '.' || c == '-'));
        name[n] = kept ? c : '_';
        changed |= !kept;
    }
    if (changed || from[n]) {
        char digits[10];
        int k = 0;
        name[n++] = '~';
        do digits[k++] = (char)('0' + output % 10);
        while (output /= 10);
        while (k) name[n++] = digits[--k];
    }
    memcpy(name + n, ".npy", 5);
}

void pf_save_outputs(const pf_options *options, const pf_tensor *outputs, uint64_t batch, bool batched) {
    char path[PATH_MAX], header[PF_NPY_HEADER_MAX];
    size_t n = strlen(options->output_dir);
    if (n + 257 > sizeof path) pf_stop(PF_EXIT_STORAGE, options->output_dir, ": ", reason(ENAMETOOLONG), 0);
    if (mkdir(options->output_dir, 0777) != 0 && errno != EEXIST)
        pf_stop(PF_EXIT_STORAGE, "cannot make the folder ", options->output_dir, ": ", reason(errno));
    memcpy(path, options->output_dir, n);
    path[n++] = '/';
    for (uint32_t i = 0; i < pf_model.n_outputs; i++) {
        const pf_tensor_info *output = &pf_model.outputs[i];
        if (output->rank > PF_RANK_MAX)
            pf_stop(PF_EXIT_BUG, "output '", output->name, "' has too many dimensions", 0);
        int64_t shape[PF_NPY_RANK_MAX] = {(int64_t)batch};
        for (uint32_t j = 0; j < output->rank; j++) shape[j + batched] = output->shape[j];
        pf_output_file(i, path + n);
        pf_bytes parts[] = {{header, pf_npy_header(header, output->dtype, output->rank + batched, shape)},
                            {outputs[i].data, output->bytes * batch}};
        int why = pf_file_write(path, parts, 2);
        if (why) pf_stop(PF_EXIT_STORAGE, "cannot write ", path, ": ", reason(why));
    }
}
