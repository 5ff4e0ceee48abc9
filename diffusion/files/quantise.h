/* ggml's block formats: rows of a matrix in blocks of 32 or 256 elements with shared scales.
 *
 * Q8_0: 32 elements: fp16 d, int8 q[32]; x = d q.
 *
 * Q4_0: 32 elements: fp16 d, 16 bytes of two 4-bit q (element i in the low half of byte i, i + 16 in the high half);
 * x = d (q - 8).
 *
 * Q4_1: fp16 d, fp16 m, the same q; x = d q + m.
 *
 * Q5_0, Q5_1: a fifth bit of q in 4 bytes before the 16; x = d (q - 16) and x = d q + m.
 *
 * Q4_K: 256 elements: fp16 d, fp16 m, 12 bytes of eight 6-bit scales and minima, 128 bytes of q; x = d s q - m t.
 *
 * Q5_K: the same with a fifth bit of q in 32 bytes before the 128.
 *
 * Q6_K: 256 elements: 128 bytes of low 4 bits, 64 bytes of high 2 bits, int8 s[16], fp16 d; x = d s (q - 32).
 *
 * Q2_K: 16 bytes of 4-bit scales and minima, 64 bytes of 2-bit q, fp16 d, fp16 m; x = d s q - m t.
 *
 * Q3_K: 32 bytes of high bits, 64 bytes of low 2 bits, 12 bytes of sixteen 6-bit scales, fp16 d; x = d (s - 32) (q -
 * 4).
 *
 * Layout as documented in https://github.com/ggml-org/ggml (docs/gguf.md, ggml-common.h). Internal to diffusion/. */
#ifndef KN_DIFFUSION_QUANTISE_H
#define KN_DIFFUSION_QUANTISE_H

#include "diffusion/files/tensors.h"

/* Block format `dtype` -> fp32. `count` is a multiple of kn_dtype_block(dtype). Thread-safe. */
void kn_dequantise(kn_dtype dtype, const uint8_t *blocks, size_t count, float *out);
/* Whether kn_quantise writes the format; all are read. */
bool kn_can_quantise(kn_dtype dtype);
/* fp32 -> block format that kn_can_quantise; out holds count / block * size bytes. Values that are not finite become 0.
 * Thread-safe. */
void kn_quantise(kn_dtype dtype, const float *values, size_t count, uint8_t *out);
/* fp32 -> any floating type, plain or block: the opposite of kn_stored_tensor_to_float. */
void kn_floats_to(kn_dtype dtype, const float *values, size_t count, uint8_t *out);

#endif
