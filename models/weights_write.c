#include "models/weights_write.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "models/dequant.h"

enum {
    LENGTH_BYTES = 8,
    ALIGNMENT = 64 /* of the data, so that floats can be used in a map of the file */
};

static json_t *entry_of(const Tensor *tensor, size_t begin)
{
    size_t end = begin + tensor->n_bytes;
    json_t *shape = json_array();
    for (int i = 0; i < tensor->n_dims; i++)
        json_array_append_new(shape, json_integer(tensor->dims[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype_info(tensor->dtype)->name, "shape",
                     shape, "data_offsets", (json_int_t)begin, (json_int_t)end);
}

/* The header with its length before it, filled up with spaces as the format allows. */
static void write_header(const NamedTensor *tensors, size_t n, Buf *out)
{
    json_t *header = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    size_t at = 0;
    for (size_t i = 0; i < n; at += tensors[i++].tensor.n_bytes)
        json_object_set_new(header, tensors[i].name, entry_of(&tensors[i].tensor, at));
    char *text = json_dumps(header, JSON_COMPACT);
    size_t end = LENGTH_BYTES + strlen(text);
    size_t length = (end + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT - LENGTH_BYTES;
    for (int i = 0; i < LENGTH_BYTES; i++)
        buf_putc(out, (char)(unsigned char)((uint64_t)length >> 8 * i));
    buf_puts(out, text);
    while (out->len < LENGTH_BYTES + length)
        buf_putc(out, ' ');
    free(text);
    json_decref(header);
}

bool weights_write_safetensors(const char *path, const NamedTensor *tensors, size_t n, Err *err)
{
    Buf header = {0};
    write_header(tensors, n, &header);
    size_t n_bytes = header.len;
    for (size_t i = 0; i < n; i++)
        n_bytes += tensors[i].tensor.n_bytes;
    unsigned char *bytes = mem_alloc_large(n_bytes, 1, "the file to write", err);
    bool ok = bytes != NULL;
    if (ok) {
        unsigned char *next = bytes;
        memcpy(next, header.data, header.len);
        next += header.len;
        for (size_t i = 0; i < n; next += tensors[i++].tensor.n_bytes)
            memcpy(next, tensors[i].tensor.data, tensors[i].tensor.n_bytes);
        ok = file_write_atomic(path, bytes, n_bytes, err);
    }
    free(bytes);
    buf_free(&header);
    return ok;
}
