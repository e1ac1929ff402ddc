/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The forms of a value as notebooks take them: text as strings, JSON as JSON, pictures in base64 with their size. */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "kernel.h"

static bool ends_in(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static bool is_text(const char *mime)
{
    return strncmp(mime, "text/", 5) == 0 || ends_in(mime, "+xml") || strcmp(mime, "application/javascript") == 0;
}

static json_t *in_base64(const DisplayForm *form)
{
    char *text = form->length < INT_MAX / 2 ? malloc(form->length / 3 * 4 + 8) : NULL;
    if (!text) return NULL;
    int length = EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)form->data, (int)form->length);
    json_t *string = json_stringn(text, (size_t)length);
    free(text);
    return string;
}

static json_t *content_of(const DisplayForm *form)
{
    if (strcmp(form->mime, "application/json") == 0 || ends_in(form->mime, "+json"))
        return json_loadb(form->data, form->length, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    return is_text(form->mime) ? json_from_bytes(form->data, form->length) : in_base64(form);
}

static unsigned big_endian(const unsigned char *at)
{
    return (unsigned)at[0] << 24 | (unsigned)at[1] << 16 | (unsigned)at[2] << 8 | at[3];
}

/* {width, height} from the header of a PNG, or NULL. */
static json_t *size_of_png(const DisplayForm *form)
{
    const unsigned char *bytes = (const unsigned char *)form->data;
    if (strcmp(form->mime, "image/png") != 0 || form->length < 24 || memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) != 0) return NULL;
    return json_pack("{sI sI}", "width", (json_int_t)big_endian(bytes + 16), "height", (json_int_t)big_endian(bytes + 20));
}

json_t *bundle_of(const Display *display)
{
    json_t *data = json_object(), *metadata = json_object();
    for (int i = 0; i < display->count; i++) {
        const DisplayForm *form = &display->form[i];
        json_t *size = size_of_png(form);
        json_object_set_new(data, form->mime, content_of(form));         /* what is NULL is left out */
        if (size) json_object_set_new(metadata, form->mime, size);
    }
    return json_pack("{so so}", "data", data, "metadata", metadata);
}
