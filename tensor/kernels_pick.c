/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Chooses the kernel tables for this processor. KERNELS_X86 says that the build made three of each,
   KERNELS_TILES that it made those for tile registers. */
#include "attention.h"
#include "blocks.h"
#include "core.h"
#include "dots.h"
#include "kernels.h"
#include "random.h"
#include "tiles.h"

#ifdef KERNELS_X86
extern const Kernels kernels_sse2, kernels_avx2, kernels_avx512;

const Kernels *kernels(void)
{
    static const Kernels *const by_level[] = {
        [CPU_BASE] = &kernels_sse2, [CPU_AVX2] = &kernels_avx2, [CPU_AVX512] = &kernels_avx512,
    };
    return by_level[cpu_level()];
}

extern const BlockKernels kernels_blocks_sse2, kernels_blocks_avx2, kernels_blocks_avx512;

const BlockKernels *block_kernels(void)
{
    static const BlockKernels *const by_level[] = {
        [CPU_BASE] = &kernels_blocks_sse2, [CPU_AVX2] = &kernels_blocks_avx2, [CPU_AVX512] = &kernels_blocks_avx512,
    };
    return by_level[cpu_level()];
}

extern const AttentionKernels kernels_attention_sse2, kernels_attention_avx2, kernels_attention_avx512;

const AttentionKernels *attention_kernels(void)
{
    static const AttentionKernels *const by_level[] = {
        [CPU_BASE] = &kernels_attention_sse2, [CPU_AVX2] = &kernels_attention_avx2,
        [CPU_AVX512] = &kernels_attention_avx512,
    };
    return by_level[cpu_level()];
}

extern const RandomKernels kernels_random_sse2, kernels_random_avx2, kernels_random_avx512;

const RandomKernels *random_kernels(void)
{
    static const RandomKernels *const by_level[] = {
        [CPU_BASE] = &kernels_random_sse2, [CPU_AVX2] = &kernels_random_avx2, [CPU_AVX512] = &kernels_random_avx512,
    };
    return by_level[cpu_level()];
}

extern DotsKernel *const kernels_dots_sse2, *const kernels_dots_avx2, *const kernels_dots_avx512;

DotsKernel *dots_kernel(void)
{
    switch (cpu_level()) {
    case CPU_AVX512: return kernels_dots_avx512;
    case CPU_AVX2: return kernels_dots_avx2;
    default: return kernels_dots_sse2;
    }
}
#else
extern const Kernels kernels_plain;

const Kernels *kernels(void) { return &kernels_plain; }

extern const BlockKernels kernels_blocks_plain;

const BlockKernels *block_kernels(void) { return &kernels_blocks_plain; }

extern const AttentionKernels kernels_attention_plain;

const AttentionKernels *attention_kernels(void) { return &kernels_attention_plain; }

extern const RandomKernels kernels_random_plain;

const RandomKernels *random_kernels(void) { return &kernels_random_plain; }

extern DotsKernel *const kernels_dots_plain;

DotsKernel *dots_kernel(void) { return kernels_dots_plain; }
#endif

#ifdef KERNELS_TILES
extern const TileKernels kernels_tiles;

const TileKernels *tile_kernels(void) { return cpu_tiles() ? &kernels_tiles : NULL; }
#else
const TileKernels *tile_kernels(void) { return NULL; }
#endif
