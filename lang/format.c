/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Format specs, as in "{x:>10.3f}" and format(x, spec): [[fill]align][sign][0][width][,][.precision][type], Python's
   words with the same meanings. Values other than numbers and strings are printed first and then laid out as text. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "date.h"
#include "print.h"

#define WIDTH_LIMIT 100000

typedef struct Spec {
    char fill[5];             /* one codepoint */
    char align;               /* < > ^ = or 0 */
    char sign;                /* - + or space */
    bool comma;
    int width;
    int precision;            /* -1: none */
    char type;                /* 0: none */
} Spec;

static int codepoint_bytes(const char *text)
{
    unsigned char c = (unsigned char)*text;
    int n = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    for (int i = 1; i < n; i++)
        if (!text[i]) return i;
    return n;
}

static bool is_align(char c)
{
    return c == '<' || c == '>' || c == '^' || c == '=';
}

static const char *read_number(const char *at, int *number)
{
    long n = 0;
    while (isdigit((unsigned char)*at)) {
        n = n * 10 + (*at++ - '0');
        if (n > WIDTH_LIMIT) n = WIDTH_LIMIT + 1;
    }
    *number = (int)n;
    return at;
}

static bool parse_spec(const char *at, Spec *spec)
{
    *spec = (Spec){.fill = " ", .sign = '-', .precision = -1};
    int first = *at ? codepoint_bytes(at) : 0;
    if (first && is_align(at[first])) {
        memcpy(spec->fill, at, (size_t)first);
        spec->fill[first] = '\0';
        spec->align = at[first];
        at += first + 1;
    } else if (is_align(*at)) {
        spec->align = *at++;
    }
    if (*at == '+' || *at == '-' || *at == ' ') spec->sign = *at++;
    if (*at == '0') {
        if (!spec->align) {
            spec->align = '=';
            strcpy(spec->fill, "0");
        }
        at++;
    }
    at = read_number(at, &spec->width);
    if (*at == ',') {
        spec->comma = true;
        at++;
    }
    if (*at == '.') {
        if (!isdigit((unsigned char)at[1])) return false;
        at = read_number(at + 1, &spec->precision);
    }
    if (*at && strchr("sdbxXoeEfFgG%", *at)) spec->type = *at++;
    return *at == '\0' && spec->width <= WIDTH_LIMIT && spec->precision <= 1000;
}

/* Puts commas between groups of three in the digits before a point or exponent. */
static void group_digits(Text *out, const char *digits)
{
    size_t whole = strspn(digits, "0123456789");
    for (size_t i = 0; i < whole; i++) {
        text_add(out, digits + i, 1);
        if ((whole - i) % 3 == 1 && i + 1 < whole) text_add(out, ",", 1);
    }
    text_string(out, digits + whole);
}

void print_thousands(Text *out, int64_t number)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%lld", (long long)number);
    if (digits[0] == '-') text_add(out, "-", 1);
    group_digits(out, digits + (digits[0] == '-'));
}

/* [sign] and [body] with fill up to the width; '=' puts the fill between them. */
static void lay_out(Text *out, const Spec *spec, const char *sign, const char *body, size_t length, char natural)
{
    int columns = print_columns(body, length) + (int)strlen(sign);
    int missing = spec->width > columns ? spec->width - columns : 0;
    char align = spec->align ? spec->align : natural;
    int left = align == '>' ? missing : align == '^' ? missing / 2 : 0;
    for (int i = 0; i < left; i++) text_string(out, spec->fill);
    text_string(out, sign);
    if (align == '=') {
        for (int i = 0; i < missing; i++) text_string(out, spec->fill);
        left = missing;
    }
    text_add(out, body, length);
    for (int i = left; i < missing; i++) text_string(out, spec->fill);
}

static const char *sign_text(const Spec *spec, bool negative)
{
    return negative ? "-" : spec->sign == '+' ? "+" : spec->sign == ' ' ? " " : "";
}

static void format_int(Text *out, const Spec *spec, int64_t number)
{
    char digits[80];
    uint64_t size = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    if (spec->type == 'b') {
        int at = (int)sizeof digits - 1;
        digits[at] = '\0';
        do digits[--at] = (char)('0' + (size & 1));
        while (size >>= 1);
        memmove(digits, digits + at, sizeof digits - (size_t)at);
    } else {
        char format[] = "%llu";
        if (spec->type && strchr("xXo", spec->type)) format[3] = spec->type;
        snprintf(digits, sizeof digits, format, (unsigned long long)size);
    }
    Text body = {0};
    if (spec->comma) group_digits(&body, digits);
    else text_string(&body, digits);
    lay_out(out, spec, sign_text(spec, number < 0), body.at ? body.at : "", body.length, '>');
    out->failed |= body.failed;
    text_free(&body);
}

static void format_float(Text *out, const Spec *spec, double number, Dtype dtype)
{
    Text digits = {0}, body = {0};
    bool negative = signbit(number) && !isnan(number);
    double size = negative ? -number : number;
    int precision = spec->precision < 0 ? 6 : spec->precision;
    if (!isfinite(size)) text_string(&digits, isnan(size) ? "nan" : "inf");
    else if (spec->type == 0 && spec->precision < 0) print_float(&digits, size, dtype);
    else if (spec->type == '%') text_format(&digits, "%.*f", precision, size * 100);
    else {
        char type = spec->type ? spec->type : 'g';
        char format[8] = {'%', '.', '*', type, '\0'};
        text_format(&digits, format, precision, size);
    }
    const char *plain = digits.at ? digits.at : "";
    if (spec->comma && isfinite(size)) group_digits(&body, plain);
    else text_string(&body, plain);
    if (spec->type == '%') text_add(&body, "%", 1);
    lay_out(out, spec, sign_text(spec, negative), body.at ? body.at : "", body.length, '>');
    out->failed |= digits.failed || body.failed;
    text_free(&digits);
    text_free(&body);
}

/* Text, cut to the precision in codepoints. */
static void format_text(Text *out, const Spec *spec, const char *text, size_t length)
{
    if (spec->precision >= 0) {
        size_t at = 0;
        for (int n = 0; at < length && n < spec->precision; n++) at += (size_t)codepoint_bytes(text + at);
        length = at < length ? at : length;
    }
    lay_out(out, spec, "", text, length, '<');
}

static bool is_one_number(Value v)
{
    return v.tag == TAG_TENSOR && tensor_size(v.tensor) == 1 && v.tensor->ndim == 0;
}

bool value_format(Vm *vm, Value v, const char *text, Text *out)
{
    if (!*text) return value_print(vm, v, out);
    if (v.tag == TAG_DATE && strchr(text, '%')) return date_format(vm, v, text, out);
    Spec spec;
    if (!parse_spec(text, &spec)) {
        vm_fail(vm, ERROR_value, "", "unknown format \"%s\"", text);
        error_hint(&vm_tensors(vm)->error, "a format is [[fill]<>^=][+][0][width][,][.digits][d b x o e f g %% s]");
        return false;
    }
    bool number_type = spec.type && spec.type != 's';
    double number = 0;
    int64_t whole = 0;
    Dtype dtype = v.tag == TAG_SCALAR ? (Dtype)v.dtype : DTYPE_f64;
    if (is_one_number(v)) {                      /* one that carries a gradient */
        dtype = (Dtype)v.tensor->dtype;
        v = value_scalar_float(DTYPE_f64, tensor_item(v.tensor, 0));
    }
    bool is_number = value_is_number(v);
    if (number_type && !is_number) {
        char described[96];
        value_describe(v, described, sizeof described);
        return vm_fail(vm, ERROR_type, "", "format \"%s\" is for numbers, got %s", text, described);
    }
    if (number_type && strchr("dbxXo", spec.type) && !value_to_int(v, &whole)) {
        return vm_fail(vm, ERROR_type, "", "format \"%s\" is for ints, got a float; write int(x) or use .0f", text);
    }
    if (is_number && spec.type != 's') {
        bool floating = spec.precision >= 0 || !value_to_int(v, &whole);
        if (number_type) floating = strchr("eEfFgG%", spec.type) != NULL;
        if (floating && value_to_double(v, &number)) format_float(out, &spec, number, dtype);
        else format_int(out, &spec, whole);
    } else {
        Text body = {0};
        bool fine = value_print(vm, v, &body);
        if (fine) format_text(out, &spec, body.at ? body.at : "", body.length);
        text_free(&body);
        if (!fine) return false;
    }
    return out->failed ? vm_out_of_memory(vm) : true;
}
