/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Products of matrices in the tile registers that some processors have (AMX), which multiply bf16 and sum in f32: between
   kernels_tiles.c and those who cut work into tiles.

   A number takes part rounded to bf16, or whole, in three parts: rounded, what that left, rounded, and what that left. Three
   times 8 bits are all that an f32 has. Of the nine products of parts the six largest are summed: what the others would
   add is below 2^-23 of a product, and a sum of f32 loses more (tests/tensor/test_product.c).

   Packed: blocks of 16 lines, each a row of the left or a column of the right operand: [lines / 16][depth / 32][parts] tiles
   of TILE_BYTES. Sizes are rounded up, what is missing is zeros. */
#ifndef TESSERA_TILES_H
#define TESSERA_TILES_H

#include <stdbool.h>
#include <stdint.h>

#define TILE_LINES 16
#define TILE_INNER 32         /* numbers of a line in a tile */
#define TILE_BYTES 1024
#define TILE_WHOLE 3          /* parts of an f32 */

/* One operand of a sum: tiles of 16 rows of 64 bytes, [line] bytes apart; of the second block they lie [block] bytes behind
   those of the first. Tile k lies at offset[k], or at k * step without offsets; its other parts lie behind it. */
typedef struct TileSide { const char *at; int64_t line, block, step; const int64_t *offset; } TileSide;

/* c [16 * rows, 16 * columns], rows [step] apart, = start + a times b. */
typedef struct TileSum {
    int rows, columns;        /* of tiles, 1 or 2 */
    int parts;                /* 1 or TILE_WHOLE, of both operands */
    int64_t deep;             /* tiles */
    TileSide a, b;
    const float *start;       /* rows [start_step] apart, which may be 0; NULL: zeros */
    int64_t start_step;
    float *c;
    int64_t step;
} TileSum;

/* Packed blocks of [deep] tiles each, in [parts]. */
static inline TileSide tiles_packed(const char *at, int64_t deep, int parts)
{
    return (TileSide){at, 64, deep * parts * TILE_BYTES, parts * TILE_BYTES, NULL};
}

#define TILE_TOO_LARGE 0x5b800000u    /* the bits of 2^56 */

/* Whether operands whose largest magnitudes have these bits can be multiplied in parts: no product of two numbers overflows, and
   what is below 2^-126 and counts as zero, be it a part or a product, is nothing beside the largest product. */
static inline bool tiles_fit(uint32_t left, uint32_t right)
{
    int a = (int)(left >> 23) - 127, b = (int)(right >> 23) - 127;     /* exponents */
    bool nothing = left == 0 || right == 0;
    return left < TILE_TOO_LARGE && right < TILE_TOO_LARGE && (nothing || (a >= -90 && b >= -90 && a + b >= -80));
}

typedef struct TileKernels {
    /* [lines] of [depth] numbers, [step] apart; turned: the depth's rows of [lines] numbers, [step] apart. For the left
       operand tiles have a row a line, for the right one a row for two numbers of all lines. In parts, the value is the
       bits of the largest magnitude, above those of infinity where a number is NaN. */
    uint32_t (*pack)(int64_t lines, int64_t depth, const float *from, int64_t step, bool turned, bool right, int parts,
                     char *to);
    uint32_t (*largest)(int64_t rows, int64_t n, const float *from, int64_t step);    /* likewise */
    void (*product)(const TileSum *sum);
    /* [rows] of [n] numbers, [step] apart, rounded, to rows [to_step] bytes apart; with those of [b] (NULL: zeros) in pairs */
    void (*round)(int64_t rows, int64_t n, const float *from, int64_t step, char *to, int64_t to_step);
    void (*pair)(int64_t rows, int64_t n, const float *a, const float *b, int64_t step, char *to, int64_t to_step);
    void (*begin)(void);      /* on each thread, around products */
    void (*end)(void);
} TileKernels;

/* NULL: this processor has none, or TESSERA_ISA asks for less (kernels_pick.c). */
const TileKernels *tile_kernels(void);

#endif
