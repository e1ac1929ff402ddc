/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Chooses the kernel table for this processor. KERNELS_X86 says that the build made three of them. */
#include "kernels.h"

#include "core.h"

#ifdef KERNELS_X86
extern const Kernels kernels_sse2, kernels_avx2, kernels_avx512;

const Kernels *kernels(void)
{
    static const Kernels *const by_level[] = {
        [CPU_BASE] = &kernels_sse2, [CPU_AVX2] = &kernels_avx2, [CPU_AVX512] = &kernels_avx512,
    };
    return by_level[cpu_level()];
}
#else
extern const Kernels kernels_plain;

const Kernels *kernels(void) { return &kernels_plain; }
#endif
