#define _GNU_SOURCE 1 /* POSIX beside C11 */
#include "pf_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define AT_ONCE ((size_t)1 << 30) /* Linux moves at most 2 GiB in one call */

static char unfinished[PATH_MAX];

void *pf_memory(size_t bytes) {
    void *made = mmap(NULL, bytes ? bytes : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return made == MAP_FAILED ? NULL : made;
}

static int read_all(int file, unsigned char *data, size_t bytes) {
    for (size_t done = 0; done < bytes;) {
        ssize_t n = read(file, data + done, bytes - done < AT_ONCE ? bytes - done : AT_ONCE);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno;
        if (n == 0) return EIO; /* it became shorter */
        done += (size_t)n;
    }
    return 0;
}

int pf_file_read(const char *path, unsigned char **data, size_t *bytes) {
    struct stat about;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), why = 0;
    if (file < 0) return errno;
    if (fstat(file, &about) != 0)
        why = errno;
    else if (!S_ISREG(about.st_mode))
        why = S_ISDIR(about.st_mode) ? EISDIR : EINVAL;
    else if (!(*data = pf_memory((size_t)about.st_size)))
        why = ENOMEM;
    else
        why = read_all(file, *data, *bytes = (size_t)about.st_size);
    close(file);
    return why;
}

static int write_all(int file, const unsigned char *data, size_t bytes) {
    for (size_t done = 0; done < bytes;) {
        ssize_t n = write(file, data + done, bytes - done < AT_ONCE ? bytes - done : AT_ONCE);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno;
        done += (size_t)n;
    }
    return 0;
}

int pf_file_write(const char *path, const pf_bytes *parts, size_t n) {
    static const char suffix[] = ".partial";
    size_t length = strlen(path);
    if (length + sizeof suffix > sizeof unfinished) return ENAMETOOLONG;
    char temporary[PATH_MAX];
    memcpy(temporary, path, length);
    memcpy(temporary + length, suffix, sizeof suffix);
    int file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), why = 0;
    if (file < 0) return errno;
    memcpy(unfinished, temporary, sizeof unfinished);
    for (size_t i = 0; i < n && !why; i++) why = write_all(file, parts[i].data, parts[i].bytes);
    if (close(file) != 0 && !why) why = errno;
    if (!why && rename(temporary, path) != 0) why = errno;
    if (why) unlink(temporary);
    unfinished[0] = 0;
    return why;
}

void pf_file_abandon(void) {
    if (unfinished[0]) unlink(unfinished);
}
