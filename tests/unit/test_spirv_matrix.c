/* The translation of cooperative matrices from SPV_NV_cooperative_matrix to SPV_KHR_cooperative_matrix: on a module
 * made by hand, on broken ones, and on the kernels that the build made. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/kernel_info.h"
#include "kernels.h"
#include "tools/spirv_matrix.h"

/* SPV_KHR_cooperative_matrix and the core specification. */
enum {
    OP_EXTENSION = 10,
    OP_CAPABILITY = 17,
    OP_CONSTANT = 43,
    TYPE = 4456,
    LOAD = 4457,
    STORE = 4458,
    MUL_ADD = 4459,
    LENGTH = 4460,
    NV_FIRST = 5357,
    NV_LAST = 5362,
    CAPABILITY = 6022,
    HEADER = 5
};

#define OP(op, ...) (((uint32_t)(sizeof((uint32_t[]){__VA_ARGS__}) / 4 + 1) << 16) | (op)), __VA_ARGS__
#define NAME_NV \
    0x5f565053, 0x635f564e, 0x65706f6f, 0x69746172, 0x6d5f6576, 0x69727461, 0x78 /* SPV_NV_cooperative_matrix */
#define NAME_KHR \
    0x5f565053, 0x5f52484b, 0x706f6f63, 0x74617265, 0x5f657669, 0x7274616d, 0x7869 /* SPV_KHR_cooperative_matrix */

enum {
    U32 = 1,
    F32,
    F16,
    BOOL,
    SCOPE,
    SIZE_M,
    SIZE_N,
    SIZE_K,
    STRIDE,
    YES,
    NO,
    TYPE_A,
    TYPE_B,
    TYPE_C,
    POINTER,
    VALUE_A,
    VALUE_B,
    VALUE_C,
    SUM,
    COUNT,
    BOUND
};

/* What both dialects share up to the matrix types. */
#define BEFORE                                                                                             \
    OP(21, U32, 32, 0), OP(22, F32, 32), OP(22, F16, 16), OP(20, BOOL), OP(43, U32, SCOPE, 3),             \
        OP(50, U32, SIZE_M, 16), OP(50, U32, SIZE_N, 8), OP(50, U32, SIZE_K, 16), OP(43, U32, STRIDE, 24), \
        OP(41, BOOL, YES), OP(42, BOOL, NO)
#define NV_TYPES                                                                                \
    OP(5358, TYPE_A, F16, SCOPE, SIZE_M, SIZE_K), OP(5358, TYPE_B, F16, SCOPE, SIZE_K, SIZE_N), \
        OP(5358, TYPE_C, F32, SCOPE, SIZE_M, SIZE_N)
#define FUNCTION OP(54, U32, BOUND - 1, 0, 0)

static const uint32_t nv_module[] = {0x07230203,
                                     0x10500,
                                     0,
                                     BOUND,
                                     0,
                                     OP(17, 1),
                                     OP(17, 5357),
                                     OP(10, NAME_NV),
                                     BEFORE,
                                     NV_TYPES,
                                     OP(52, U32, COUNT, 5362, TYPE_A),
                                     FUNCTION,
                                     OP(5359, TYPE_A, VALUE_A, POINTER, STRIDE, NO, 0x30, SCOPE),
                                     OP(5359, TYPE_B, VALUE_B, POINTER, STRIDE, YES),
                                     OP(5359, TYPE_C, VALUE_C, POINTER, STRIDE, NO),
                                     OP(5361, TYPE_C, SUM, VALUE_A, VALUE_B, VALUE_C),
                                     OP(5360, POINTER, SUM, STRIDE, YES, 0x28, SCOPE),
                                     OP(5362, U32, COUNT, TYPE_C)};

enum { ZERO = BOUND, ONE, TWO };
static const uint32_t khr_module[] = {0x07230203,
                                      0x10500,
                                      0,
                                      BOUND + 3,
                                      0,
                                      OP(17, 1),
                                      OP(17, 6022),
                                      OP(10, NAME_KHR),
                                      BEFORE,
                                      OP(43, U32, ZERO, 0),
                                      OP(43, U32, ONE, 1),
                                      OP(43, U32, TWO, 2),
                                      OP(4456, TYPE_A, F16, SCOPE, SIZE_M, SIZE_K, ZERO),
                                      OP(4456, TYPE_B, F16, SCOPE, SIZE_K, SIZE_N, ONE),
                                      OP(4456, TYPE_C, F32, SCOPE, SIZE_M, SIZE_N, TWO),
                                      OP(52, U32, COUNT, 4460, TYPE_A),
                                      FUNCTION,
                                      OP(4457, TYPE_A, VALUE_A, POINTER, ZERO, STRIDE, 0x30, SCOPE),
                                      OP(4457, TYPE_B, VALUE_B, POINTER, ONE, STRIDE),
                                      OP(4457, TYPE_C, VALUE_C, POINTER, ZERO, STRIDE),
                                      OP(4459, TYPE_C, SUM, VALUE_A, VALUE_B, VALUE_C),
                                      OP(4458, POINTER, SUM, ONE, STRIDE, 0x28, SCOPE),
                                      OP(4460, U32, COUNT, TYPE_C)};

Test(spirv_matrix, translates_word_by_word) {
    size_t count;
    const char *reason;
    cr_assert(spirv_matrix_found(nv_module, sizeof nv_module / 4));
    uint32_t *got = spirv_matrix_translate(nv_module, sizeof nv_module / 4, &count, &reason);
    cr_assert(got, "%s", reason);
    cr_assert_eq(count, sizeof khr_module / 4);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(got[i], khr_module[i], "word %zu is %x, expected %x", i, got[i], khr_module[i]);
    cr_assert_not(spirv_matrix_found(got, count));
    free(got);
}

static void refused(const uint32_t *words, size_t size, const char *expected) {
    size_t count = 1;
    const char *reason = NULL;
    cr_assert_null(spirv_matrix_translate(words, size / 4, &count, &reason));
    cr_assert(reason && strcmp(reason, expected) == 0, "%s, expected %s", reason, expected);
    cr_assert_eq(count, 0);
}

#define REFUSED(expected, ...)                                                     \
    do {                                                                           \
        const uint32_t words_[] = {0x07230203, 0x10500, 0, BOUND, 0, __VA_ARGS__}; \
        refused(words_, sizeof words_, expected);                                  \
    } while (0)
#define VALUES                                                                                      \
    OP(5359, TYPE_A, VALUE_A, POINTER, STRIDE, NO), OP(5359, TYPE_B, VALUE_B, POINTER, STRIDE, NO), \
        OP(5359, TYPE_C, VALUE_C, POINTER, STRIDE, NO)

Test(spirv_matrix, refuses) {
    REFUSED("a cooperative matrix type is never multiplied", BEFORE, NV_TYPES);
    REFUSED("a cooperative matrix type is used as two of A, B and accumulator", BEFORE, NV_TYPES, FUNCTION, VALUES,
            OP(5361, TYPE_C, SUM, VALUE_A, VALUE_A, VALUE_C));
    REFUSED("a multiplication's operand is not a cooperative matrix", BEFORE, NV_TYPES, FUNCTION, VALUES,
            OP(5361, TYPE_C, SUM, VALUE_A, STRIDE, VALUE_C));
    REFUSED("a cooperative matrix's layout is not a constant", BEFORE, NV_TYPES, FUNCTION, VALUES,
            OP(5361, TYPE_C, SUM, VALUE_A, VALUE_B, VALUE_C), OP(5360, POINTER, SUM, STRIDE, VALUE_A));
    REFUSED("a cooperative matrix's scope is not a constant", OP(5358, TYPE_A, F16, SIZE_M, SIZE_M, SIZE_K));
    REFUSED("an id is out of range", OP(5358, BOUND, F16, SCOPE, SIZE_M, SIZE_K));
    REFUSED("an instruction is cut off", OP(5361, TYPE_C, SUM, VALUE_A));
    REFUSED("an instruction is cut off", 0);
    refused(nv_module, sizeof nv_module - 4, "an instruction is cut off");
    refused(nv_module, 16, "not a SPIR-V module");
    for (size_t size = 0; size < sizeof nv_module; size += 4) { /* every prefix: never past its end */
        size_t count;
        const char *reason;
        uint32_t *copy = malloc(size ? size : 4);
        memcpy(copy, nv_module, size);
        free(spirv_matrix_translate(copy, size / 4, &count, &reason));
        spirv_matrix_found(copy, size / 4);
        free(copy);
    }
}

/* --- the build's kernels ---------------------------------------------------------------------- */

enum { MAX_IDS = 8192 };
typedef struct module {
    const uint32_t *definition[MAX_IDS]; /* OpConstant and OpTypeCooperativeMatrixKHR */
    uint32_t type[MAX_IDS];              /* matrix type of a value */
} module;

static uint32_t value_of(const module *m, uint32_t id) {
    cr_assert(id < MAX_IDS && m->definition[id] && (m->definition[id][0] & 0xffff) == OP_CONSTANT);
    return m->definition[id][3];
}

static const uint32_t *type_of(const module *m, uint32_t id, uint32_t expected_use) {
    cr_assert(id < MAX_IDS);
    const uint32_t *type = m->definition[m->type[id]];
    cr_assert(type && (type[0] & 0xffff) == TYPE && type[0] >> 16 == 7);
    cr_assert_eq(value_of(m, type[6]), expected_use);
    cr_assert_eq(value_of(m, type[3]), 3, "subgroup scope");
    return type;
}

/* A is m x k, B k x n, the accumulator m x n, of the same ids. */
static void check_product(const module *m, const uint32_t *w) {
    const uint32_t *a = type_of(m, w[3], 0), *b = type_of(m, w[4], 1), *c = type_of(m, w[5], 2),
                   *sum = type_of(m, w[2], 2);
    cr_assert(sum == c && a[4] == c[4] && a[5] == b[4] && b[5] == c[5] && a[2] == b[2] && a[2] != c[2]);
}

static void check_instruction(module *m, const uint32_t *w, uint32_t n, size_t *products) {
    uint32_t op = w[0] & 0xffff;
    cr_assert(op < NV_FIRST || op > NV_LAST, "opcode %u of the NV extension", op);
    if (op == OP_CAPABILITY) cr_assert_neq(w[1], 5357);
    if (op == OP_EXTENSION) cr_assert_null(strstr((const char *)(w + 1), "SPV_NV"));
    if (op == TYPE || op == OP_CONSTANT) m->definition[op == TYPE ? w[1] : w[2]] = w;
    if (n >= 3 && w[1] < MAX_IDS && w[2] < MAX_IDS && m->definition[w[1]] && (m->definition[w[1]][0] & 0xffff) == TYPE)
        m->type[w[2]] = w[1];
    if (op == LOAD) cr_assert(n >= 6 && value_of(m, w[4]) <= 1);
    if (op == STORE) cr_assert(n >= 5 && value_of(m, w[3]) <= 1);
    if (op == MUL_ADD) {
        cr_assert_eq(n, 6);
        check_product(m, w);
        ++*products;
    }
}

static void check_kernel(kn_kernel kernel) {
    const kn_kernel_info *info = &kn_kernel_infos[kernel];
    module *m = calloc(1, sizeof *m);
    size_t products = 0, capabilities = 0, extensions = 0;
    cr_assert(info->words[3] <= MAX_IDS, "%s has %u ids", info->name, info->words[3]);
    for (size_t at = HEADER; at < info->word_count; at += info->words[at] >> 16) {
        const uint32_t *w = info->words + at;
        cr_assert(w[0] >> 16 > 0 && at + (w[0] >> 16) <= info->word_count);
        capabilities += (w[0] & 0xffff) == OP_CAPABILITY && w[1] == CAPABILITY;
        extensions +=
            (w[0] & 0xffff) == OP_EXTENSION && strcmp((const char *)(w + 1), "SPV_KHR_cooperative_matrix") == 0;
        check_instruction(m, w, w[0] >> 16, &products);
    }
    free(m);
    cr_assert_eq(capabilities, 1, "%s", info->name);
    cr_assert_eq(extensions, 1, "%s", info->name);
    cr_assert_gt(products, 0, "%s", info->name);
}

Test(spirv_matrix, kernels) {
    check_kernel(KN_KERNEL_NN_CONV_COOP);
    check_kernel(KN_KERNEL_NN_ATTENTION_COOP);
}
