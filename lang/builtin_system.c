/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Natives that touch the world: time, the command line, the environment, files that come with it, the random state. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "builtins.h"
#include "lang.h"

#ifndef PKGDATADIR
#define PKGDATADIR "/usr/local/share/tessera"
#endif

static double seconds(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

bool native_time(Vm *vm, const Value *args, Value *result)
{
    (void)vm;
    (void)args;
    *result = value_float(seconds(CLOCK_REALTIME));
    return true;
}

bool native_clock(Vm *vm, const Value *args, Value *result)
{
    (void)vm;
    (void)args;
    *result = value_float(seconds(CLOCK_MONOTONIC));
    return true;
}

bool native_sleep(Vm *vm, const Value *args, Value *result)
{
    double left = args[0].tag == TAG_INT ? (double)args[0].i : args[0].f, end = seconds(CLOCK_MONOTONIC) + left;
    *result = VALUE_NONE;
    while ((left = end - seconds(CLOCK_MONOTONIC)) > 0) {
        double nap = left < 0.02 ? left : 0.02;
        nanosleep(&(struct timespec){0, (long)(nap * 1e9)}, NULL);
        if (!vm_safe_point(vm)) return false;
    }
    return true;
}

bool native_exit(Vm *vm, const Value *args, Value *result)
{
    *result = VALUE_NONE;
    return vm_exit(vm, (int)(args[0].i & 0xFF));
}

bool native_args(Vm *vm, const Value *args, Value *result)
{
    (void)args;
    return native_give(vm, vm_script_arguments(vm), result);
}

bool native_env(Vm *vm, const Value *args, Value *result)
{
    const char *text = getenv(args[0].string->text);
    if (text) return native_give(vm, string_from(text), result);
    *result = value_retain(args[1]);
    return true;
}

static bool ask(Vm *vm, const char *function, const char *prompt, bool secret, Value *result)
{
    const SessionConfig *config = vm_config(vm);
    if (!config || !config->input) return vm_fail(vm, ERROR_io, function, "there is nobody to ask");
    char *line = config->input(config->user, prompt, secret);
    *result = VALUE_NONE;
    if (!line) return !tensor_interrupted(vm_tensors(vm));
    Value string = string_from(line);
    free(line);
    return native_give(vm, string, result);
}

bool native_input(Vm *vm, const Value *args, Value *result)
{
    return ask(vm, "input", args[0].string->text, false, result);
}

bool native_password(Vm *vm, const Value *args, Value *result)
{
    return ask(vm, "password", args[0].string->text, true, result);
}

bool native_seed(Vm *vm, const Value *args, Value *result)
{
    TensorContext *ctx = vm_tensors(vm);
    ctx->seed = (uint64_t)args[0].i;
    ctx->counter = 0;
    *result = VALUE_NONE;
    return true;
}

/* ---- files that come with Tessera ---- */

static bool is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

bool native__resource(Vm *vm, const Value *args, Value *result)
{
    char folder[2048], path[4096];
    const char *name = args[0].string->text, *data = getenv("TESSERA_DATA");
    runtime_program_folder(folder, sizeof folder);
    bool near_program = folder[0];
    for (int i = 0; i < 5; i++) {
        if (i == 0 && data) snprintf(path, sizeof path, "%s/%s", data, name);
        else if (i == 1 && near_program) snprintf(path, sizeof path, "%s/data/%s", folder, name);
        else if (i == 2 && near_program) snprintf(path, sizeof path, "%s/../data/%s", folder, name);
        else if (i == 3 && near_program) snprintf(path, sizeof path, "%s/../share/tessera/%s", folder, name);
        else if (i == 4) snprintf(path, sizeof path, "%s/%s", PKGDATADIR, name);
        else continue;
        if (is_file(path)) return native_give(vm, string_from(path), result);
    }
    return vm_fail(vm, ERROR_io, "", "the file %s that comes with Tessera was not found", name);
}
