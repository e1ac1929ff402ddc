/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which instruction set the kernels use: by the processor's feature bits and the system's support for them, never by
   model, since emulators hide features. TESSERA_ISA (sse2, avx2, avx512) may lower it, never raise it; any takes the tile
   registers away. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

static CpuLevel detected, chosen;
static bool tiles;
static pthread_once_t once = PTHREAD_ONCE_INIT;

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

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
/* Tile registers with products of bf16: present, and the system saves them (bits 17 and 18 of XCR0) once asked to. */
static bool has_tiles(void)
{
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1) || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d >> 22 & 1) ||
        !(d >> 24 & 1) || !__get_cpuid_count(7, 1, &a, &b, &c, &d) || !(a >> 5 & 1))
        return false;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low >> 17 & 3) == 3 && syscall(SYS_arch_prctl, 0x1023 /* ARCH_REQ_XCOMP_PERM */, 18) == 0;
}
#else
static const char *const names[] = {"plain", "plain", "plain"};

static bool has_tiles(void)
{
    return false;
}

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
    tiles = detected == CPU_AVX512 && !asked && has_tiles();
}

CpuLevel cpu_level(void)
{
    pthread_once(&once, choose);
    return chosen;
}

bool cpu_tiles(void)
{
    pthread_once(&once, choose);
    return tiles;
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
