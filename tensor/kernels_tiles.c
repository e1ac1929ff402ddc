/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Packing and products for the tile registers of AMX (tiles.h). A tile of the left operand has 16 rows of 32 numbers; one
   of the right operand 16 rows of 16 pairs, for the instruction multiplies pairs. The order of sums is the instruction's:
   along the depth, two at a time. */
#include <immintrin.h>
#include <string.h>

#include "tiles.h"
#include "vector.h"

typedef uint32_t Pairs __attribute__((vector_size(64), aligned(4), may_alias));

static __mmask16 first(int64_t n)
{
    return (__mmask16)(n >= 16 ? 0xFFFF : n <= 0 ? 0 : (1u << n) - 1);
}

static __m512i narrow(__m512 x)
{
    return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x));
}

/* line[i]: the 16 pairs of line i. */
static void along(int64_t lines, int64_t depth, const float *from, int64_t step, Pairs line[TILE_LINES])
{
    for (int64_t i = 0; i < TILE_LINES; i++, from += step) {
        bool is = i < lines;
        __m512 low = _mm512_maskz_loadu_ps(is ? first(depth) : 0, from);
        __m512 high = _mm512_maskz_loadu_ps(is ? first(depth - 16) : 0, from + 16);
        line[i] = (Pairs)_mm512_cvtne2ps_pbh(high, low);
    }
}

/* pair[p]: pair p of all 16 lines. */
static void across(int64_t lines, int64_t depth, const float *from, int64_t step, Pairs pair[TILE_LINES])
{
    for (int64_t p = 0; p < TILE_LINES; p++, from += 2 * step) {
        __m512 low = _mm512_maskz_loadu_ps(2 * p < depth ? first(lines) : 0, from);
        __m512 high = _mm512_maskz_loadu_ps(2 * p + 1 < depth ? first(lines) : 0, from + step);
        pair[p] = (Pairs)_mm512_or_si512(narrow(low), _mm512_slli_epi32(narrow(high), 16));
    }
}

/* Numbers that lie side by side are read in order: along lines, or from 32 turned ones at a time. */
static void pack(int64_t lines, int64_t depth, const float *from, int64_t step, bool turned, bool right, char *to)
{
    int64_t deep = (depth + TILE_INNER - 1) / TILE_INNER, blocks = (lines + TILE_LINES - 1) / TILE_LINES;
    for (int64_t at = 0; at < deep * blocks; at++) {
        int64_t i = (turned ? at % blocks : at / deep), k = (turned ? at / blocks : at % deep);
        int64_t line = i * TILE_LINES, inner = k * TILE_INNER;
        Pairs v[TILE_LINES];
        if (turned)
            across(lines - line, depth - inner, from + inner * step + line, step, v);
        else
            along(lines - line, depth - inner, from + line * step + inner, step, v);
        if (turned != right) {
            TURN_SQUARE(Pairs, v)
        }
        memcpy(to + (i * deep + k) * TILE_BYTES, v, TILE_BYTES);
    }
}

static void round_rows(int64_t rows, int64_t n, const float *from, int64_t step, char *to, int64_t to_step)
{
    for (int64_t row = 0; row < rows; row++)
        for (int64_t i = 0; i < n; i += 16) {
            __mmask16 some = first(n - i);
            __m512 x = _mm512_maskz_loadu_ps(some, from + row * step + i);
            _mm256_mask_storeu_epi16(to + row * to_step + i * 2, some, (__m256i)_mm512_cvtneps_pbh(x));
        }
}

static void pair_rows(int64_t rows, int64_t n, const float *a, const float *b, int64_t step, char *to, int64_t to_step)
{
    for (int64_t row = 0; row < rows; row++)
        for (int64_t i = 0; i < n; i += 16) {
            __mmask16 some = first(n - i);
            __m512i low = narrow(_mm512_maskz_loadu_ps(some, a + row * step + i));
            __m512i high = narrow(_mm512_maskz_loadu_ps(b ? some : 0, (b ? b : a) + row * step + i));
            _mm512_mask_storeu_epi32(to + row * to_step + i * 4, some, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
        }
}

/* ---- products ---- */

/* Registers: 0 to 3 sums, 4 and 5 two blocks of rows, 6 and 7 two of columns. */
static void begin(void)
{
    static const struct { uint8_t palette, start, zeros[14]; uint16_t bytes[16]; uint8_t rows[16]; } shape = {
        1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16},
    };
    _tile_loadconfig(&shape);
}

static void end(void)
{
    _tile_release();
}

#define START(tile, at)       /* of the sum in a tile: numbers [at] from the start, or 0 */                           \
    do {                                                                                                              \
        if (s->start)                                                                                                 \
            _tile_loadd(tile, s->start + (at), s->start_step * 4);                                                    \
        else                                                                                                          \
            _tile_zero(tile);                                                                                         \
    } while (0)

static inline const char *tile_at(const TileSide *s, int64_t k)
{
    return s->at + (s->offset ? s->offset[k] : k * s->step);
}

static void four(const TileSum *s)
{
    TileSide x = s->a, y = s->b;
    float *c = s->c, *below = c + 16 * s->step;
    START(0, 0);
    START(1, 16);
    START(2, 16 * s->start_step);
    START(3, 16 * s->start_step + 16);
    for (int64_t k = 0; k < s->deep; k++) {
        const char *a = tile_at(&x, k), *b = tile_at(&y, k);
        _tile_loadd(4, a, x.line);
        _tile_loadd(6, b, y.line);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, b + y.block, y.line);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, a + x.block, x.line);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, c, s->step * 4);
    _tile_stored(1, c + 16, s->step * 4);
    _tile_stored(2, below, s->step * 4);
    _tile_stored(3, below + 16, s->step * 4);
}

static void one(const TileSum *s, int64_t row, int64_t column)
{
    TileSide x = s->a, y = s->b;
    x.at += row * x.block;
    y.at += column * y.block;
    START(0, row * 16 * s->start_step + column * 16);
    for (int64_t k = 0; k < s->deep; k++) {
        _tile_loadd(4, tile_at(&x, k), x.line);
        _tile_loadd(6, tile_at(&y, k), y.line);
        _tile_dpbf16ps(0, 4, 6);
    }
    _tile_stored(0, s->c + row * 16 * s->step + column * 16, s->step * 4);
}

static void product(const TileSum *s)
{
    if (s->rows == 2 && s->columns == 2) {
        four(s);
        return;
    }
    for (int i = 0; i < s->rows; i++)
        for (int j = 0; j < s->columns; j++)
            one(s, i, j);
}

extern const TileKernels kernels_tiles;
const TileKernels kernels_tiles = {
    .pack = pack, .product = product, .round = round_rows, .pair = pair_rows, .begin = begin, .end = end,
};
