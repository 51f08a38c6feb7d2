#include "pf_npy.h"

#include <string.h>

static const struct {
    char name[5], kind, size;
} dtypes[PF_DTYPES] = {
    [PF_F32] = {"f32", 'f', 4}, [PF_F64] = {"f64", 'f', 8}, [PF_F16] = {"f16", 'f', 2},
    [PF_I8] = {"i8", 'i', 1},   [PF_U8] = {"u8", 'u', 1},   [PF_I16] = {"i16", 'i', 2},
    [PF_U16] = {"u16", 'u', 2}, [PF_I32] = {"i32", 'i', 4}, [PF_U32] = {"u32", 'u', 4},
    [PF_I64] = {"i64", 'i', 8}, [PF_U64] = {"u64", 'u', 8}, [PF_BOOL] = {"bool", 'b', 1},
};

static const char magic[] = "\x93NUMPY";

size_t pf_dtype_bytes(pf_dtype dtype) {
    return (size_t)dtypes[dtype].size;
}

const char *pf_dtype_name(pf_dtype dtype) {
    return dtypes[dtype].name;
}

const char *pf_npy_words(pf_npy_status status) {
    static const char *const words[] = {
        [PF_NPY_OK] = "is well-formed",
        [PF_NPY_MAGIC] = "is not an .npy file",
        [PF_NPY_VERSION] = "has an .npy format version other than 1 and 2",
        [PF_NPY_HEADER] = "has a damaged .npy header",
        [PF_NPY_ENDIAN] = "has big-endian elements: save it little-endian",
        [PF_NPY_ORDER] = "is in column-major order: save it in C order (numpy.ascontiguousarray)",
        [PF_NPY_DTYPE] = "has elements of a type that no model takes",
        [PF_NPY_RANK] = "has too many dimensions",
        [PF_NPY_SIZE] = "has more or fewer bytes of data than its shape says",
    };
    return words[status];
}

bool pf_npy_is(const unsigned char *file, size_t bytes) {
    return bytes >= 6 && memcmp(file, magic, 6) == 0;
}

/* What is left of the header: a Python dictionary literal of three keys, such as
 * {'descr': '<f4', 'fortran_order': False, 'shape': (1, 28, 28), } */
typedef struct {
    const unsigned char *at, *end;
} text;

static void skip_spaces(text *t) {
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\n' || *t->at == '\t')) t->at++;
}

static bool take(text *t, const char *word) {
    size_t n = strlen(word);
    skip_spaces(t);
    if ((size_t)(t->end - t->at) < n || memcmp(t->at, word, n) != 0) return false;
    t->at += n;
    return true;
}

/* A quoted word without escapes, into `out` with a terminating zero. */
static bool take_quoted(text *t, char *out, size_t room) {
    skip_spaces(t);
    if (t->at == t->end || (*t->at != '\'' && *t->at != '"')) return false;
    unsigned char quote = *t->at++;
    size_t n = 0;
    while (t->at < t->end && *t->at != quote) {
        if (n + 1 >= room || *t->at == '\\' || *t->at < ' ') return false;
        out[n++] = (char)*t->at++;
    }
    if (t->at == t->end) return false;
    t->at++;
    out[n] = 0;
    return true;
}

static bool take_size(text *t, int64_t *out) {
    uint64_t value = 0;
    skip_spaces(t);
    if (t->at == t->end || *t->at < '0' || *t->at > '9') return false;
    if (*t->at == '0' && t->end - t->at > 1 && t->at[1] >= '0' && t->at[1] <= '9')
        return false; /* not Python's */
    while (t->at < t->end && *t->at >= '0' && *t->at <= '9') {
        value = value * 10 + (uint64_t)(*t->at++ - '0');
        if (value > (uint64_t)INT64_MAX / 16) return false;
    }
    *out = (int64_t)value;
    return true;
}

static pf_npy_status take_shape(text *t, pf_npy *out) {
    if (!take(t, "(")) return PF_NPY_HEADER;
    bool comma = true;
    for (out->rank = 0; !take(t, ")"); out->rank++) {
        if (!comma) return PF_NPY_HEADER;
        if (out->rank == PF_NPY_RANK_MAX) return PF_NPY_RANK;
        if (!take_size(t, &out->shape[out->rank])) return PF_NPY_HEADER;
        comma = take(t, ",");
    }
    return out->rank == 1 && !comma ? PF_NPY_HEADER : PF_NPY_OK; /* "(3)" is a number, not a shape */
}

static pf_npy_status dtype_of(const char *descr, pf_dtype *out) {
    if (strlen(descr) != 3) return PF_NPY_DTYPE;
    for (int i = 0; i < PF_DTYPES; i++) {
        if (descr[1] != dtypes[i].kind || descr[2] != '0' + dtypes[i].size) continue;
        if (descr[0] == '>' && dtypes[i].size > 1) return PF_NPY_ENDIAN;
        if (descr[0] != '<' && descr[0] != '|' && descr[0] != '>') return PF_NPY_DTYPE;
        *out = (pf_dtype)i;
        return PF_NPY_OK;
    }
    return PF_NPY_DTYPE;
}

static pf_npy_status take_entry(text *t, unsigned *seen, pf_npy *out) {
    char key[16], descr[16];
    unsigned bit;
    pf_npy_status status = PF_NPY_OK;
    if (!take_quoted(t, key, sizeof key) || !take(t, ":")) return PF_NPY_HEADER;
    if (strcmp(key, "descr") == 0) {
        bit = 1;
        if (take(t, "[")) return PF_NPY_DTYPE; /* a structure */
        if (!take_quoted(t, descr, sizeof descr)) return PF_NPY_HEADER;
        status = dtype_of(descr, &out->dtype);
    } else if (strcmp(key, "fortran_order") == 0) {
        bit = 2;
        if (take(t, "True")) return PF_NPY_ORDER;
        if (!take(t, "False")) return PF_NPY_HEADER;
    } else if (strcmp(key, "shape") == 0) {
        bit = 4;
        status = take_shape(t, out);
    } else {
        return PF_NPY_HEADER;
    }
    if (*seen & bit) return PF_NPY_HEADER;
    *seen |= bit;
    return status;
}

static pf_npy_status parse_header(text t, pf_npy *out) {
    unsigned seen = 0;
    bool comma = true;
    if (!take(&t, "{")) return PF_NPY_HEADER;
    while (!take(&t, "}")) {
        pf_npy_status status = comma ? take_entry(&t, &seen, out) : PF_NPY_HEADER;
        if (status != PF_NPY_OK) return status;
        comma = take(&t, ",");
    }
    skip_spaces(&t);
    return seen == 7 && t.at == t.end ? PF_NPY_OK : PF_NPY_HEADER;
}

pf_npy_status pf_npy_parse(const unsigned char *file, size_t bytes, pf_npy *out) {
    if (!pf_npy_is(file, bytes)) return PF_NPY_MAGIC;
    if (bytes < 10) return PF_NPY_HEADER;
    if ((file[6] != 1 && file[6] != 2) || file[7] != 0) return PF_NPY_VERSION;
    size_t start = file[6] == 1 ? 10 : 12;
    if (bytes < start) return PF_NPY_HEADER;
    size_t length = file[8] | (size_t)file[9] << 8;
    if (file[6] == 2) length |= (size_t)file[10] << 16 | (size_t)file[11] << 24;
    if (length > bytes - start) return PF_NPY_HEADER;
    pf_npy_status status = parse_header((text){file + start, file + start + length}, out);
    if (status != PF_NPY_OK) return status;
    out->offset = start + length;
    out->bytes = pf_dtype_bytes(out->dtype);
    for (uint32_t i = 0; i < out->rank; i++) {
        if (__builtin_mul_overflow(out->bytes, (size_t)out->shape[i], &out->bytes)) return PF_NPY_SIZE;
    }
    return out->bytes == bytes - out->offset ? PF_NPY_OK : PF_NPY_SIZE;
}

static char *put(char *at, const char *word) {
    size_t n = strlen(word);
    memcpy(at, word, n);
    return at + n;
}

static char *put_number(char *at, uint64_t value) {
    char digits[20];
    int n = 0;
    do digits[n++] = (char)('0' + value % 10);
    while (value /= 10);
    while (n) *at++ = digits[--n];
    return at;
}

size_t pf_npy_header(char out[PF_NPY_HEADER_MAX], pf_dtype dtype, uint32_t rank, const int64_t *shape) {
    char *at = out + 10;
    memcpy(out, "\x93NUMPY\x01", 8); /* version 1.0: the string's own zero is the minor number */
    at = put(at, "{'descr': '");
    *at++ = dtypes[dtype].size == 1 ? '|' : '<';
    *at++ = dtypes[dtype].kind;
    *at++ = (char)('0' + dtypes[dtype].size);
    at = put(at, "', 'fortran_order': False, 'shape': (");
    for (uint32_t i = 0; i < rank; i++) {
        at = put_number(at, (uint64_t)shape[i]);
        at = put(at, i + 1 < rank ? ", " : rank == 1 ? "," : "");
    }
    at = put(at, "), }");
    size_t length = ((size_t)(at - out) + 1 + 63) / 64 * 64; /* the data starts at a multiple of 64 */
    memset(at, ' ', length - (size_t)(at - out));
    out[length - 1] = '\n';
    out[8] = (char)((length - 10) & 0xff);
    out[9] = (char)((length - 10) >> 8);
    return length;
}
