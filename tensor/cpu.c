/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which instruction set the kernels use: by the processor's feature bits and the system's support for them, never by
   model, since emulators hide features. TESSERA_ISA (sse2, avx2, avx512) may lower it, never raise it. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

static CpuLevel detected, chosen;
static pthread_once_t once = PTHREAD_ONCE_INIT;

#if defined(__x86_64__)
static const char *const names[] = {"sse2", "avx2", "avx512"};

static CpuLevel detect(void)
{
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return CPU_BASE;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        return CPU_AVX512;
    return CPU_AVX2;
}
#else
static const char *const names[] = {"plain", "plain", "plain"};

static CpuLevel detect(void)
{
    return CPU_BASE;
}
#endif

static void choose(void)
{
    detected = chosen = detect();
    const char *asked = getenv("TESSERA_ISA");
    for (int i = 0; asked && i < (int)detected; i++)
        if (strcmp(asked, names[i]) == 0)
            chosen = (CpuLevel)i;
}

CpuLevel cpu_level(void)
{
    pthread_once(&once, choose);
    return chosen;
}

CpuLevel cpu_detected(void)
{
    pthread_once(&once, choose);
    return detected;
}

const char *cpu_level_name(void)
{
    return names[cpu_level()];
}
