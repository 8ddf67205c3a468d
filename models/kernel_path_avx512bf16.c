/* AVX-512 with products of bf16: linear alone differs from the avx512 path.
 *
 * vdpbf16ps adds two products of bf16 to each float: the register tile is the one of linear with neighbours in k taken together. A weight matrix
 * is rounded as it is packed, [k / 2][panel] pairs of 32 bits (an odd k is filled up with zero), a row of x at each call: n products a
 * rounding, which is nothing beside them. Sums stay in float and in the order of k, so a row's bits depend on the row alone here, too. */
#include "models/kernel_path.h"

#ifdef __AVX512BF16__ /* by the flags that the Makefile gives this file; tools that read it without them see nothing */
# define KERNEL_VL 16
# define KERNEL_MR 8
# define KERNEL_OWN_LINEAR
# define KERNEL_PRECISION "bf16"
# define KERNEL_PACKING   .packed_floats = packed_floats, .pack = pack, .unpack = unpack,
# include "models/kernel_path.inc"

# include <stdlib.h>

# include "base/mem.h"

static int n_pairs(int k)
{
    return (k + 1) / 2;
}

static size_t packed_floats(int n, int k)
{
    return panel_columns(n) * (size_t)n_pairs(k);
}

/* Elements l and l+1 of a row of k as bf16, the first in the low half. */
static __m512i round_pairs(const float *row, int l, int k)
{
    int n = k - l < 2 * VL ? k - l : 2 * VL;
    __mmask32 some = (__mmask32)((1ULL << n) - 1);
    __m512 low = _mm512_maskz_loadu_ps((__mmask16)some, row + l);
    __m512 high = _mm512_maskz_loadu_ps((__mmask16)(some >> VL), row + l + VL);
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/* to: [m, n_pairs(k)]. */
static void round_row(const float *row, int k, uint32_t *to)
{
    for (int l = 0; l < k; l += 2 * VL, to += VL) {
        int n = n_pairs(k - l) < VL ? n_pairs(k - l) : VL;
        _mm512_mask_storeu_epi32(to, (__mmask16)((1U << n) - 1), round_pairs(row, l, k));
    }
}

static void pack(const float *w, int n, int k, float *packed)
{
    uint32_t *row = mem_alloc((size_t)n_pairs(k), sizeof *row);
    for (int c = 0; c < n; c += PANEL) {
        int width = panel_width(n, c);
        for (int j = 0; j < width; j++) {
            if (c + j < n)
                round_row(w + (size_t)(c + j) * (size_t)k, k, row);
            else
                memset(row, 0, (size_t)n_pairs(k) * sizeof *row);
            for (int l = 0; l < n_pairs(k); l++)
                memcpy(packed + (size_t)l * (size_t)width + j, &row[l], sizeof *row);
        }
        packed += (size_t)n_pairs(k) * (size_t)width;
    }
    free(row);
}

static void unpack(const float *packed, int n, int k, float *w)
{
    for (int c = 0; c < n; c += PANEL) {
        int width = panel_width(n, c);
        for (int l = 0; l < k; l++)
            for (int j = 0; j < width && c + j < n; j++) {
                uint32_t pair;
                memcpy(&pair, packed + (size_t)(l / 2) * (size_t)width + j, sizeof pair);
                pair = l % 2 ? pair & 0xFFFF0000U : pair << 16;
                memcpy(&w[(size_t)(c + j) * (size_t)k + (size_t)l], &pair, sizeof pair);
            }
        packed += (size_t)n_pairs(k) * (size_t)width;
    }
}

/* As TileInput, in pairs: x is [mr, n], the panel [n, nv * VL]. */
typedef struct {
    const uint32_t *x;
    ptrdiff_t ldx;
    const float *panel;
    ptrdiff_t ldp;
    int n;
} PairInput;

INLINE void pair_tile(const int mr, const int nv, PairInput in, TileOutput out)
{
    Vector acc[MR][NV];
    ROWS(i, mr) VECTORS(j, nv) acc[i][j] = (Vector){0};
    for (int l = 0; l < in.n; l++, in.panel += in.ldp) {
        __m512bh b[NV];
        VECTORS(j, nv) b[j] = (__m512bh)_mm512_loadu_ps(in.panel + j * VL);
        ROWS(i, mr)
        {
            __m512bh a = (__m512bh)_mm512_set1_epi32((int)in.x[i * in.ldx + l]);
            VECTORS(j, nv) acc[i][j] = (Vector)_mm512_dpbf16_ps((__m512)acc[i][j], a, b[j]);
        }
    }
    store_tile(mr, nv, acc, out);
}

INLINE void pair_panel(const int nv, int m, PairInput in, TileOutput out)
{
    int row = 0;
    for (; row + MR <= m; row += MR, in.x += MR * in.ldx, out.y += MR * out.ldy)
        pair_tile(MR, nv, in, out);
    for (; row < m; row++, in.x += in.ldx, out.y += out.ldy)
        pair_tile(1, nv, in, out);
}

static void linear(const float *x, const float *packed, float *y, LinearShape shape, int n_threads)
{
    int pairs = n_pairs(shape.k);
    uint32_t *rounded = mem_alloc((size_t)shape.m * (size_t)pairs, sizeof *rounded);
# pragma omp parallel for num_threads(n_threads) schedule(static) if (n_threads > 1)
    for (int row = 0; row < shape.m; row++)
        round_row(x + (size_t)row * (size_t)shape.k, shape.k,
                  rounded + (size_t)row * (size_t)pairs);
# pragma omp parallel for num_threads(n_threads) schedule(static) if (n_threads > 1)
    for (int c = 0; c < shape.n; c += PANEL) {
        int width = panel_width(shape.n, c);
        PairInput in = {rounded, pairs, packed + (size_t)c * (size_t)pairs, width, pairs};
        TileOutput out = {y + c, shape.n, shape.n - c < width ? shape.n - c : width};
        if (width == 3 * VL)
            pair_panel(3, shape.m, in, out);
        else if (width == 2 * VL)
            pair_panel(2, shape.m, in, out);
        else
            pair_panel(1, shape.m, in, out);
    }
    free(rounded);
}

static bool is_supported(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bf16");
}

KERNEL_PATH(avx512bf16, "avx512bf16", "as avx512, with products of bf16", is_supported, 1);
#endif
