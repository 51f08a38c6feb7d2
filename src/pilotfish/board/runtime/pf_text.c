#define _GNU_SOURCE 1 /* POSIX beside C11 */
#include "pf_text.h"

#include <unistd.h>

void pf_flush(pf_text *text) {
    for (size_t done = 0; done < text->length;) {
        ssize_t n = write(text->file, text->buffer + done, text->length - done);
        if (n <= 0) break; /* nobody reads: the exit status still tells */
        done += (size_t)n;
    }
    text->length = 0;
}

void pf_put(pf_text *text, const char *words) {
    for (; *words; words++) {
        if (text->length == sizeof text->buffer) pf_flush(text);
        text->buffer[text->length++] = *words;
    }
}

void pf_put_number(pf_text *text, uint64_t value) {
    char digits[21], *at = digits + 20;
    *at = 0;
    do *--at = (char)('0' + value % 10);
    while (value /= 10);
    pf_put(text, at);
}

void pf_put_shape(pf_text *text, uint32_t rank, const int64_t *shape) {
    if (rank == 0) pf_put(text, "scalar");
    for (uint32_t i = 0; i < rank; i++) {
        if (i) pf_put(text, "x");
        pf_put_number(text, (uint64_t)shape[i]);
    }
}
