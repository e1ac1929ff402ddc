/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sixteen floats at once, for the kernels that are written in vectors: the compiler splits them where the instruction
   set that KERNELS_ISA names has shorter registers. */
#ifndef TESSERA_VECTOR_H
#define TESSERA_VECTOR_H

#ifndef KERNELS_ISA
#define KERNELS_ISA plain
#endif

typedef float V __attribute__((vector_size(64), aligned(4), may_alias));
#define AT(p) (*(const V *)(p))
#define PUT(p) (*(V *)(p))
#define INLINE static inline __attribute__((always_inline))

#endif
