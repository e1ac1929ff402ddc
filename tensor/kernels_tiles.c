/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Packing and products for the tile registers of AMX (tiles.h). A tile of the left operand has 16 rows of 32 numbers; one
   of the right operand 16 rows of 16 pairs, for the instruction multiplies pairs. The order of sums is the instruction's:
   along the depth, two at a time, and tile by tile the products of parts. */
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

static void pack_rounded(int64_t lines, int64_t depth, const float *from, int64_t step, bool turned, bool right, char *to)
{
    Pairs v[TILE_LINES];
    if (turned)
        across(lines, depth, from, step, v);
    else
        along(lines, depth, from, step, v);
    if (turned != right) {
        TURN_SQUARE(Pairs, v)
    }
    memcpy(to, v, TILE_BYTES);
}

/* ---- packing in parts ---- */

/* The larger magnitudes, as bits. */
static __m512i larger(__m512i most, __m512 x)
{
    return _mm512_max_epu32(most, _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff)));
}

/* Vectors whose upper halves are x rounded to bf16, a half away from zero; what is left of x takes its place. */
static __m512i rounded(__m512 *x)
{
    __m512i near = _mm512_add_epi32(_mm512_castps_si512(*x), _mm512_set1_epi32(0x8000));
    *x = _mm512_sub_ps(*x, _mm512_castsi512_ps(_mm512_and_si512(near, _mm512_set1_epi32(-0x10000))));
    return near;
}

/* Pairs of the upper halves. */
static __m512i paired(__m512i low, __m512i high)
{
    return _mm512_mask_blend_epi16(0xAAAAAAAA, _mm512_srli_epi32(low, 16), high);
}

static void put_parts(__m512 low, __m512 high, char *to)
{
    for (int part = 0; part < TILE_WHOLE - 1; part++, to += TILE_BYTES) {
        __m512i a = rounded(&low), b = rounded(&high);
        _mm512_storeu_si512(to, paired(a, b));
    }
    _mm512_storeu_si512(to, paired(_mm512_castps_si512(low), _mm512_castps_si512(high)));
}

/* Pair p of a tile in parts is of numbers p and p + 16 of the depth, so that both halves are whole vectors. */
INLINE __m512i pack_whole(int64_t lines, int64_t depth, const float *from, int64_t step, const bool turned, const bool right,
                          char *to)
{
    const int64_t rows = turned ? depth : lines, n = turned ? lines : depth;
    const float *other = from + (turned ? 16 * step : 16);
    const __mmask16 some = first(n), more = turned ? some : first(n - 16);
    __m512i most = _mm512_setzero_si512();
    V low[TILE_LINES], high[TILE_LINES];
    for (int64_t i = 0; i < TILE_LINES; i++, from += step, other += step) {
        low[i] = (V)_mm512_maskz_loadu_ps(i < rows ? some : 0, from);
        high[i] = (V)_mm512_maskz_loadu_ps(i + (turned ? 16 : 0) < rows ? more : 0, other);
        most = larger(larger(most, (__m512)low[i]), (__m512)high[i]);
        if (turned == right)
            put_parts((__m512)low[i], (__m512)high[i], to + i * 64);
    }
    if (turned != right) {
        TURN_SQUARE(V, low)
        TURN_SQUARE(V, high)
        for (int64_t i = 0; i < TILE_LINES; i++)
            put_parts((__m512)low[i], (__m512)high[i], to + i * 64);
    }
    return most;
}

static __m512i pack_parts(int64_t lines, int64_t depth, const float *from, int64_t step, bool turned, bool right, char *to)
{
    switch (turned * 2 + right) {
    case 0: return pack_whole(lines, depth, from, step, false, false, to);
    case 1: return pack_whole(lines, depth, from, step, false, true, to);
    case 2: return pack_whole(lines, depth, from, step, true, false, to);
    default: return pack_whole(lines, depth, from, step, true, true, to);
    }
}

/* Numbers that lie side by side are read in order: along lines, or from 32 turned ones at a time. */
static uint32_t pack(int64_t lines, int64_t depth, const float *from, int64_t step, bool turned, bool right, int parts, char *to)
{
    int64_t deep = (depth + TILE_INNER - 1) / TILE_INNER, blocks = (lines + TILE_LINES - 1) / TILE_LINES;
    __m512i most = _mm512_setzero_si512();
    for (int64_t at = 0; at < deep * blocks; at++) {
        int64_t i = (turned ? at % blocks : at / deep), k = (turned ? at / blocks : at % deep);
        int64_t line = i * TILE_LINES, inner = k * TILE_INNER;
        const float *tile = from + (turned ? inner * step + line : line * step + inner);
        char *packed = to + (i * deep + k) * parts * TILE_BYTES;
        if (parts == 1)
            pack_rounded(lines - line, depth - inner, tile, step, turned, right, packed);
        else
            most = _mm512_max_epu32(most, pack_parts(lines - line, depth - inner, tile, step, turned, right, packed));
    }
    return _mm512_reduce_max_epu32(most);
}

static uint32_t largest(int64_t rows, int64_t n, const float *from, int64_t step)
{
    __m512i most = _mm512_setzero_si512();
    for (int64_t row = 0; row < rows; row++)
        for (int64_t i = 0; i < n; i += 16)
            most = larger(most, _mm512_maskz_loadu_ps(first(n - i), from + row * step + i));
    return _mm512_reduce_max_epu32(most);
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

/* Tiles of the upper and lower rows, of the left and right columns; and the four products of them. */
#define UPPER(part) _tile_loadd(4, a + (part) * TILE_BYTES, x.line);
#define LOWER(part) _tile_loadd(5, a + (part) * TILE_BYTES + x.block, x.line);
#define LEFT(part) _tile_loadd(6, b + (part) * TILE_BYTES, y.line);
#define RIGHT(part) _tile_loadd(7, b + (part) * TILE_BYTES + y.block, y.line);
#define UPPER_LEFT _tile_dpbf16ps(0, 4, 6);
#define UPPER_RIGHT _tile_dpbf16ps(1, 4, 7);
#define LOWER_LEFT _tile_dpbf16ps(2, 5, 6);
#define LOWER_RIGHT _tile_dpbf16ps(3, 5, 7);
/* Then new rows, of this part, or new columns, each where the last product that needs the old ones has been begun. */
#define FOUR_THEN_ROWS(part) UPPER_LEFT UPPER_RIGHT UPPER(part) LOWER_LEFT LOWER_RIGHT LOWER(part)
#define FOUR_THEN_COLUMNS(part) UPPER_LEFT LOWER_LEFT LEFT(part) UPPER_RIGHT LOWER_RIGHT RIGHT(part)

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
        if (s->parts == 1) {
            UPPER(0) LEFT(0) LOWER(0) RIGHT(0)
        } else {
            UPPER(0) LEFT(2) LOWER(0) RIGHT(2)
            FOUR_THEN_COLUMNS(1)
            FOUR_THEN_ROWS(1)
            FOUR_THEN_COLUMNS(0)
            FOUR_THEN_ROWS(0)
            FOUR_THEN_ROWS(2)
        }
        UPPER_LEFT UPPER_RIGHT LOWER_LEFT LOWER_RIGHT
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
        const char *a = tile_at(&x, k), *b = tile_at(&y, k);
        if (s->parts == 1) {
            UPPER(0) LEFT(0)
        } else {
            UPPER(0) LEFT(2) UPPER_LEFT
            LEFT(1) UPPER_LEFT
            UPPER(1) UPPER_LEFT
            LEFT(0) UPPER_LEFT
            UPPER(0) UPPER_LEFT
            UPPER(2)
        }
        UPPER_LEFT
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
    .pack = pack, .largest = largest, .product = product, .round = round_rows, .pair = pair_rows, .begin = begin, .end = end,
};
