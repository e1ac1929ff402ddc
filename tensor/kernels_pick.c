/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Chooses the kernel tables for this processor. KERNELS_X86 says that the build made three of each,
   KERNELS_TILES that it made those for tile registers. */
#include "attention.h"
#include "blocks.h"
#include "conv.h"
#include "core.h"
#include "dots.h"
#include "kernels.h"
#include "kernels_pool.h"
#include "random.h"
#include "tiles.h"
#include "winograd.h"

#ifdef KERNELS_X86
#define PICK(Table, name, function)                                                                                   \
    extern const Table name##_sse2, name##_avx2, name##_avx512;                                                       \
    const Table *function(void)                                                                                       \
    {                                                                                                                 \
        static const Table *const by_level[] = {                                                                      \
            [CPU_BASE] = &name##_sse2, [CPU_AVX2] = &name##_avx2, [CPU_AVX512] = &name##_avx512,                      \
        };                                                                                                            \
        return by_level[cpu_level()];                                                                                 \
    }
#else
#define PICK(Table, name, function)                                                                                   \
    extern const Table name##_plain;                                                                                  \
    const Table *function(void)                                                                                       \
    {                                                                                                                 \
        return &name##_plain;                                                                                         \
    }
#endif

PICK(AttentionKernels, kernels_attention, attention_kernels)
PICK(BlockKernels, kernels_blocks, block_kernels)
PICK(ConvTable, kernels_conv, conv_table)
PICK(Kernels, kernels, kernels)
PICK(PoolTable, kernels_pool, pool_table)
PICK(RandomKernels, kernels_random, random_kernels)
PICK(WinogradKernels, kernels_winograd, winograd_kernels)

#ifdef KERNELS_X86
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
extern DotsKernel *const kernels_dots_plain;

DotsKernel *dots_kernel(void) { return kernels_dots_plain; }
#endif

#ifdef KERNELS_TILES
extern const TileKernels kernels_tiles;

const TileKernels *tile_kernels(void) { return cpu_tiles() ? &kernels_tiles : NULL; }
#else
const TileKernels *tile_kernels(void) { return NULL; }
#endif
