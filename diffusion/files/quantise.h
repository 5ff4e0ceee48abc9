/* ggml's block formats: rows of a matrix in blocks of 32 or 256 elements with shared scales.
 *
 * Q8_0  32 elements: fp16 d, int8 q[32];                              x = d q
 * Q4_0  32 elements: fp16 d, 16 bytes of two 4-bit q (element i in the low half of byte i, i + 16 in the high half); x
 * = d (q - 8) Q4_K  256 elements: fp16 d, fp16 m, 12 bytes of eight 6-bit scales and minima, 128 bytes of q;      x = d
 * s q - m t Q5_K  the same with a fifth bit of q in 32 bytes before the 128 Q6_K  256 elements: 128 bytes of low 4
 * bits, 64 bytes of high 2 bits, int8 s[16], fp16 d;           x = d s (q - 32)
 *
 * Layout as documented in https://github.com/ggml-org/ggml (docs/gguf.md, ggml-common.h). Internal to diffusion/. */
#ifndef KN_DIFFUSION_QUANTISE_H
#define KN_DIFFUSION_QUANTISE_H

#include "diffusion/files/tensors.h"

/* Block format `dtype` -> fp32. `count` is a multiple of kn_dtype_block(dtype). Thread-safe. */
void kn_dequantise(kn_dtype dtype, const uint8_t *blocks, size_t count, float *out);
/* fp32 -> block format; out holds count / block * size bytes. Values that are not finite become 0. Thread-safe. */
void kn_quantise(kn_dtype dtype, const float *values, size_t count, uint8_t *out);
/* fp32 -> any floating type, plain or block: the opposite of kn_stored_tensor_to_float. */
void kn_floats_to(kn_dtype dtype, const float *values, size_t count, uint8_t *out);

#endif
