/* The inner loops of what software devices run on the processors (host_layer.h, host_attention.h). Internal to
 * diffusion/ops. */
#ifndef KN_DIFFUSION_HOST_KERNELS_H
#define KN_DIFFUSION_HOST_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

/* A multiple of every tile's rows: matrices of sums have so many rows, or those of a smaller multiple of 48. */
enum { KN_HOST_ROWS = 96 };

/* What end_row adds and applies. */
typedef struct kn_host_ending {
    const float *bias, *gate_bias;
    int activation; /* kn_activation */
} kn_host_ending;

typedef struct kn_host_kernels {
    int lanes; /* floats of a vector: columns are read and written in multiples of it */
    /* c[rows][width] += a[rows][count] b[count][width], the first `columns`. `a` has a pointer for each row. Rows up to
     * the next multiple of 48 are computed, too. */
    void (*multiply)(float *c, const float *const *a, const float *b, int rows, int width, int columns, int count);
    /* The same with a transposed: a[count][step]. */
    void (*multiply_transposed)(float *c, const float *a, int step, const float *b, int rows, int width, int columns,
                                int count);
    /* fp16 to fp32; count is a multiple of 16. */
    void (*widen)(float *to, const uint16_t *from, int count);
    /* c, one row of a panel, becomes `columns` values at `to`. gate: the row of the gate's panel, or NULL. */
    void (*end_row)(float *to, float *c, const float *gate, const kn_host_ending *e, const float *broadcast,
                    const float *residual, int columns);
    /* One block of a softmax in base 2 down the columns of s[rows][width]: s becomes 2^(s - most), most[columns] and
     * sum[columns] are brought up to date, and scale[columns] is by what sums over earlier rows must be multiplied. */
    void (*softmax)(float *s, int rows, int width, int columns, float *most, float *sum, float *scale);
    /* x[count] *= factor; count is a multiple of 16. */
    void (*scale)(float *x, float factor, int count);
} kn_host_kernels;

/* Those of the best instruction set: AVX-512, or AVX2 with FMA and F16C; NULL where there is neither. */
const kn_host_kernels *kn_host_kernels_find(void);
/* Tests only: AVX2 even where there is AVX-512. */
void kn_host_kernels_force_narrow(bool narrow);

/* Around the work of a thread: numbers below 1e-38 count as zero, as on the device; they would be a hundred times
 * slower. */
unsigned kn_host_enter(void);
void kn_host_leave(unsigned before);

#endif
