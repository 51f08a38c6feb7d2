/* Runs kernels on cases from a file: the guest side of measure/kernel_harness.py, which has the format. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_list.h"

enum { GUARD = 128, ALIGNMENT = 64, BUFFERS_MAX = 16, OUTSIDE = -2 };
/* What surrounds buffer i: as f32 and f64 a NaN, so that reading it spoils the result; it differs between buffers, so
 * that copying it is seen. */
static unsigned char guard(size_t at, uint64_t buffer) {
    return at % 4 == 1 ? (unsigned char)buffer : 0xff;
}

static unsigned char *take(unsigned char **at, size_t bytes) {
    unsigned char *here = *at;
    *at += (bytes + 7) / 8 * 8;
    return here;
}

static uint64_t number(unsigned char **at) {
    uint64_t value;
    memcpy(&value, take(at, sizeof value), sizeof value);
    return value;
}

/* The counting plugin says what was executed from one of these to the next; without it the system call is
 * unknown, which does no harm. */
static void mark(long tag) {
#if defined(__riscv)
    register long a0 __asm__("a0") = tag;
    register long a7 __asm__("a7") = 0x5256;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a7) : "memory");
#else
    (void)tag;
#endif
}

static unsigned char *read_all(const char *path, size_t *bytes) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) return NULL;
    *bytes = (size_t)ftell(file);
    rewind(file);
    unsigned char *data = aligned_alloc(ALIGNMENT, (*bytes + ALIGNMENT) / ALIGNMENT * ALIGNMENT);
    if (!data || fread(data, 1, *bytes, file) != *bytes) return NULL;
    fclose(file);
    return data;
}

/* Index + 1 of the first buffer whose surroundings changed, or 0. */
static uint64_t damaged(unsigned char *const *place, const size_t *bytes, uint64_t buffers) {
    for (uint64_t i = 0; i < buffers; i++) {
        for (size_t g = 0; g < GUARD; g++) {
            const size_t after = GUARD + bytes[i] + g;
            if (place[i][g] != guard(g, i) || place[i][after] != guard(after, i)) return i + 1;
        }
    }
    return 0;
}

static int run_case(unsigned char **at, uint64_t index, FILE *out) {
    const uint64_t kernel = number(at), args_bytes = number(at), buffers = number(at);
    if (kernel >= pf_harness_count || buffers > BUFFERS_MAX) return 4;
    if (args_bytes != pf_harness_kernels[kernel].args_bytes) return 5;
    const void *args = take(at, args_bytes);
    unsigned char *place[BUFFERS_MAX];
    void *buffer[BUFFERS_MAX];
    size_t bytes[BUFFERS_MAX];
    for (uint64_t i = 0; i < buffers; i++) {
        bytes[i] = number(at);
        const size_t whole = (bytes[i] + 2 * GUARD + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        place[i] = aligned_alloc(ALIGNMENT, whole);
        if (!place[i]) return 6;
        for (size_t b = 0; b < whole; b++) place[i][b] = guard(b, i);
        buffer[i] = memcpy(place[i] + GUARD, take(at, bytes[i]), bytes[i]);
    }
    mark((long)index);
    pf_harness_kernels[kernel].run(args, buffer);
    mark(OUTSIDE);
    const uint64_t status = damaged(place, bytes, buffers);
    fwrite(&status, sizeof status, 1, out);
    for (uint64_t i = 0; i < buffers; i++) {
        fwrite(buffer[i], 1, bytes[i], out);
        free(place[i]);
    }
    return fflush(out) ? 7 : 0;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    size_t bytes;
    unsigned char *at = read_all(argv[1], &bytes);
    FILE *out = fopen(argv[2], "wb");
    if (!at || !out) return 3;
    const uint64_t cases = number(&at);
    for (uint64_t i = 0; i < cases; i++) {
        const int status = run_case(&at, i, out);
        if (status) return status;
    }
    return fclose(out) ? 7 : 0;
}
