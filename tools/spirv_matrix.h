/* From SPV_NV_cooperative_matrix to SPV_KHR_cooperative_matrix.
 *
 * Debian 12's glslang 12.0 compiles GL_NV_cooperative_matrix only, while devices of all vendors have the KHR extension.
 * The two differ in numbers, in the operands of loads and stores, and in that a KHR type says what its matrices are
 * used for: A, B or accumulator of a multiplication. The translator finds that from the multiplications themselves. */
#ifndef KN_TOOLS_SPIRV_MATRIX_H
#define KN_TOOLS_SPIRV_MATRIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether the module asks for the NV extension. */
bool spirv_matrix_found(const uint32_t *words, size_t count);

/* A translated copy of a valid module of `count` words, to be freed with free(), and its size in words. NULL with a
 * reason (static string) when the module is malformed, a type is used as two of A, B and accumulator or as none of
 * them, or a layout is not constant. */
uint32_t *spirv_matrix_translate(const uint32_t *words, size_t count, size_t *translated, const char **reason);

#endif
