/* The inner loops for each instruction set, and the choice of one. */
#include "diffusion/ops/host_kernels.h"

#include "diffusion/ops/ops.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>

typedef float vector16 __attribute__((vector_size(64)));
typedef int wide_integers __attribute__((vector_size(64)));
typedef float vector8 __attribute__((vector_size(32)));
typedef int narrow_integers __attribute__((vector_size(32)));

#define ISA(name) wide_##name
#define TARGET __attribute__((target("avx512f,fma,f16c")))
#define V vector16
#define LANES 16
#define LOAD_HALVES(p) (vector16) _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(p)))
#define ROWS_4 6
#define ROWS_3 8
#define ROWS_2 12
#define ROWS_1 16
#include "diffusion/ops/host_tile.h"
#undef ISA
#undef TARGET
#undef V
#undef LANES
#undef LOAD_HALVES
#undef ROWS_4
#undef ROWS_3
#undef ROWS_2
#undef ROWS_1

#define ISA(name) narrow_##name
#define TARGET __attribute__((target("avx2,fma,f16c")))
#define V vector8
#define LANES 8
#define LOAD_HALVES(p) (vector8) _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p)))
#define ROWS_4 3
#define ROWS_3 4
#define ROWS_2 4
#define ROWS_1 8
#include "diffusion/ops/host_tile.h"

static bool forced_narrow;

const kn_host_kernels *kn_host_kernels_find(void) {
    if (!forced_narrow && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("f16c")) return &wide_kernels;
    bool narrow = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    return narrow ? &narrow_kernels : NULL;
}

void kn_host_kernels_force_narrow(bool narrow) { forced_narrow = narrow; }

unsigned kn_host_enter(void) {
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040);
    return before;
}

void kn_host_leave(unsigned before) { _mm_setcsr(before); }

#else

const kn_host_kernels *kn_host_kernels_find(void) { return NULL; }
void kn_host_kernels_force_narrow(bool narrow) { (void)narrow; }
unsigned kn_host_enter(void) { return 0; }
void kn_host_leave(unsigned before) { (void)before; }

#endif
