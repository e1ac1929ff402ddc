/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a front end may ask without a session: the version, optional parts, and the doctor's report. It only reads and
   measures; advice names the package that mends what is missing. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../tensor/tensor.h"
#include "lang.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

const char *session_version(void)
{
    return PACKAGE_VERSION;
}

void *session_open_module(const char *name, char **error)
{
    Error why = {.kind = ERROR_NONE};
    void *entry = runtime_open_module(&why, name);
    *error = NULL;
    if (!entry && asprintf(error, "%s: %s", name, why.message) < 0) *error = NULL;
    return entry;
}

/* "label       text" */
__attribute__((format(printf, 3, 4)))
static void report(const SessionConfig *config, const char *label, const char *format, ...)
{
    char line[1024];
    int length = snprintf(line, sizeof line, "%-10s ", label);
    va_list arguments;
    va_start(arguments, format);
    length += vsnprintf(line + length, sizeof line - (size_t)length - 1, format, arguments);
    va_end(arguments);
    if (length > (int)sizeof line - 2) length = (int)sizeof line - 2;
    line[length++] = '\n';
    config->output(config->user, OUTPUT_OUT, line, (size_t)length);
}

static bool report_blas(const SessionConfig *config, TensorContext *context, const RuntimeInfo *info)
{
    double one = runtime_measure_gflops(context, 1);
    if (!info->blas || one <= 0) {
        report(config, "BLAS", "%s", context->error.message[0] ? context->error.message : "none could be opened");
        report(config, "", "apt-get install libopenblas0-pthread");
        return false;
    }
    report(config, "BLAS", "%s", info->blas);
    report(config, "core type", "%s", info->blas_core ? info->blas_core : "its own choice");
    report(config, "speed", "%.0f GFLOP/s on 1 thread (products of f32 matrices)", one);
    if (info->threads > 1)
        report(config, "", "%.0f GFLOP/s on %d threads", runtime_measure_gflops(context, info->threads), info->threads);
    return true;
}

static bool report_parts(const SessionConfig *config)
{
    static const struct { const char *name, *use; } parts[] = {
        {"repl", "line editing at the prompt"}, {"media", "safetensors, PNG and JPEG files"},
        {"data", "JSON and CSV files"}, {"regex", "regular expressions"}, {"fft", "Fourier transforms"},
        {"plot", "pictures of plots"}, {"pictures", "pictures in terminals"}, {"kernel", "Jupyter notebooks"},
        {"history", "the history of notebooks"}, {"lsp", "the language server of editors"},
    };
    bool complete = true;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        Error why = {.kind = ERROR_NONE};
        bool found = runtime_open_module(&why, parts[i].name) != NULL;
        report(config, i ? "" : "parts", "%-8s %s%s%s", parts[i].name, found ? parts[i].use : "missing: ",
               found ? "" : parts[i].use, found ? "" : " will not work");
        if (!found) report(config, "", "         %s", why.message);
        complete &= found;
    }
    return complete;
}

static void report_data(const SessionConfig *config)
{
    static const struct { const char *name, *folder, *package; } sets[] = {
        {"fashion-mnist", "/usr/share/datasets/fashion-mnist", "dataset-fashion-mnist"},
    };
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        bool found = access(sets[i].folder, R_OK) == 0;
        if (found) report(config, i ? "" : "data", "%s in %s", sets[i].name, sets[i].folder);
        else report(config, i ? "" : "data", "%s: only the sample that is installed; all of it: apt-get install %s",
                    sets[i].name, sets[i].package);
    }
}

bool session_doctor(const SessionConfig *config)
{
    TensorContext context;
    RuntimeInfo info;
    tensor_context_init(&context, NULL);
    runtime_info(&info, true);
    report(config, "Tessera", "%s", session_version());
    report(config, "threads", "%d", info.threads);
    report(config, "kernels", "%s%s", info.isa ? info.isa : "plain", info.tiles ? ", amx for products" : "");
    bool fine = report_blas(config, &context, &info);
    report(config, "memory", "%.1f GiB for tensors", (double)info.memory_budget / (1 << 30));
    fine &= report_parts(config);
    report_data(config);
    return fine;
}
