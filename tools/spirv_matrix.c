#include "spirv_matrix.h"

#include <stdlib.h>
#include <string.h>

/* SPIR-V specification 1.6, section 3; SPV_NV_cooperative_matrix and SPV_KHR_cooperative_matrix, "Modifications". */
enum {
    OP_EXTENSION = 10,
    OP_CAPABILITY = 17,
    OP_TYPE_INT = 21,
    OP_CONSTANT_TRUE = 41,
    OP_CONSTANT_FALSE = 42,
    OP_CONSTANT = 43,
    OP_CONSTANT_COMPOSITE = 44,
    OP_CONSTANT_NULL = 46,
    OP_SPEC_CONSTANT_OP = 52,
    OP_FUNCTION = 54,
    OP_TYPE_MATRIX_NV = 5358,
    OP_LOAD_NV = 5359,
    OP_STORE_NV = 5360,
    OP_MUL_ADD_NV = 5361,
    OP_LENGTH_NV = 5362,
    OP_TYPE_MATRIX_KHR = 4456,
    OP_LOAD_KHR = 4457,
    OP_STORE_KHR = 4458,
    OP_MUL_ADD_KHR = 4459,
    OP_LENGTH_KHR = 4460
};
enum { CAPABILITY_NV = 5357, CAPABILITY_KHR = 6022, HEADER = 5, BOUND = 3, MAX_BOUND = 1 << 22 };
/* Operands of OpTypeCooperativeMatrixKHR, and MemoryLayout of loads and stores. */
enum { USE_A = 0, USE_B = 1, USE_ACCUMULATOR = 2, USES = 3, USE_UNKNOWN = -1 };

static const char nv_name[] = "SPV_NV_cooperative_matrix", khr_name[] = "SPV_KHR_cooperative_matrix";

typedef struct id_info {
    uint32_t type;    /* a value's cooperative matrix type, or 0 */
    uint32_t integer; /* a constant's integer type, or 0 */
    int use;          /* of a cooperative matrix type */
    bool is_matrix, is_false, is_true;
} id_info;

typedef struct translation {
    id_info *ids;
    uint32_t bound;
    uint32_t *out;
    size_t used, capacity;
    const char *reason;
} translation;

static bool refuse(translation *t, const char *reason) {
    if (!t->reason) t->reason = reason;
    return false;
}

/* Entry 0 stands for what is out of range. */
static id_info *get(translation *t, uint32_t id) {
    if (id == 0 || id >= t->bound) {
        refuse(t, "an id is out of range");
        id = 0;
    }
    return &t->ids[id];
}

static void put(translation *t, uint32_t word) {
    if (t->used == t->capacity) {
        t->capacity = 2 * t->capacity + 64;
        t->out = realloc(t->out, t->capacity * sizeof *t->out);
        if (!t->out) abort();
    }
    t->out[t->used++] = word;
}

static void put_many(translation *t, const uint32_t *words, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) put(t, words[i]);
}

static void put_head(translation *t, uint32_t op, uint32_t length) { put(t, length << 16 | op); }

static bool is_named(const uint32_t *w, uint32_t n, const char *name) {
    size_t size = strlen(name) + 1;
    return (size_t)(n - 1) * 4 >= size && memcmp(w + 1, name, size) == 0;
}

/* Fewest words of the instructions that are looked into. */
static uint32_t least_length(uint32_t op) {
    switch (op) {
    case OP_EXTENSION:
    case OP_CAPABILITY: return 2;
    case OP_CONSTANT_TRUE:
    case OP_CONSTANT_FALSE: return 3;
    case OP_TYPE_INT:
    case OP_CONSTANT:
    case OP_LENGTH_NV:
    case OP_SPEC_CONSTANT_OP: return 4;
    case OP_STORE_NV: return 5;
    case OP_TYPE_MATRIX_NV:
    case OP_LOAD_NV:
    case OP_MUL_ADD_NV: return 6;
    default: return 1;
    }
}

/* --- which matrices a type holds -------------------------------------------------------------- */

/* First pass: types, constants, and the matrix type of every value. In functions no word but a result type is a type's
 * id at that place; before functions only composites and nulls can be of a matrix type. */
static void collect(translation *t, const uint32_t *w, uint32_t n, bool in_function) {
    uint32_t op = w[0] & 0xffff;
    if (op == OP_TYPE_MATRIX_NV) {
        *get(t, w[1]) = (id_info){.is_matrix = true, .use = USE_UNKNOWN};
    } else if (op == OP_CONSTANT_TRUE || op == OP_CONSTANT_FALSE) {
        get(t, w[2])->is_true = op == OP_CONSTANT_TRUE;
        get(t, w[2])->is_false = op == OP_CONSTANT_FALSE;
    } else if (op == OP_CONSTANT) {
        get(t, w[2])->integer = w[1];
    } else if (n >= 3 && (in_function || op == OP_CONSTANT_COMPOSITE || op == OP_CONSTANT_NULL)) {
        if (w[1] > 0 && w[1] < t->bound && w[2] < t->bound && t->ids[w[1]].is_matrix) t->ids[w[2]].type = w[1];
    }
}

static void use(translation *t, uint32_t value, int as) {
    id_info *type = &t->ids[get(t, value)->type];
    if (!type->is_matrix) refuse(t, "a multiplication's operand is not a cooperative matrix");
    else if (type->use != USE_UNKNOWN && type->use != as)
        refuse(t, "a cooperative matrix type is used as two of A, B and accumulator");
    type->use = as;
}

/* Second pass. */
static void find_uses(translation *t, const uint32_t *w) {
    if ((w[0] & 0xffff) != OP_MUL_ADD_NV) return;
    use(t, w[2], USE_ACCUMULATOR);
    use(t, w[3], USE_A);
    use(t, w[4], USE_B);
    use(t, w[5], USE_ACCUMULATOR);
}

/* --- rewriting -------------------------------------------------------------------------------- */

/* Ids of the constants 0, 1 and 2, which are new and follow the module's own. */
static uint32_t number(const translation *t, int value) { return t->bound + (uint32_t)value; }

static uint32_t layout(translation *t, uint32_t column_major) {
    const id_info *flag = get(t, column_major);
    if (!flag->is_true && !flag->is_false) refuse(t, "a cooperative matrix's layout is not a constant");
    return number(t, flag->is_true);
}

static void put_numbers(translation *t, uint32_t integer) {
    if (!integer) refuse(t, "a cooperative matrix's scope is not a constant");
    for (int i = 0; i < USES; i++)
        put_many(t, (const uint32_t[]){4u << 16 | OP_CONSTANT, integer, number(t, i), (uint32_t)i}, 4);
}

static void put_extension(translation *t) {
    uint32_t text[(sizeof khr_name + 3) / 4] = {0};
    memcpy(text, khr_name, sizeof khr_name);
    put_head(t, OP_EXTENSION, 1 + sizeof text / 4);
    put_many(t, text, sizeof text / 4);
}

static void rewrite(translation *t, const uint32_t *w, uint32_t n, bool *numbered) {
    switch (w[0] & 0xffff) {
    case OP_CAPABILITY:
        put(t, w[0]);
        put(t, w[1] == CAPABILITY_NV ? CAPABILITY_KHR : w[1]);
        return;
    case OP_EXTENSION:
        if (is_named(w, n, nv_name)) put_extension(t);
        else put_many(t, w, n);
        return;
    case OP_TYPE_MATRIX_NV: /* result, component, scope, rows, columns | use */
        if (!*numbered) put_numbers(t, get(t, w[3])->integer);
        *numbered = true;
        if (get(t, w[1])->use == USE_UNKNOWN) refuse(t, "a cooperative matrix type is never multiplied");
        put_head(t, OP_TYPE_MATRIX_KHR, 7);
        put_many(t, w + 1, 5);
        put(t, number(t, get(t, w[1])->use));
        return;
    case OP_LOAD_NV: /* type, result, pointer, stride, column major, memory... -> ..., pointer, layout, stride,
                        memory... */
        put_head(t, OP_LOAD_KHR, n);
        put_many(t, (const uint32_t[]){w[1], w[2], w[3], layout(t, w[5]), w[4]}, 5);
        put_many(t, w + 6, n - 6);
        return;
    case OP_STORE_NV: /* pointer, object, stride, column major, memory... -> pointer, object, layout, stride,
                         memory... */
        put_head(t, OP_STORE_KHR, n);
        put_many(t, (const uint32_t[]){w[1], w[2], layout(t, w[4]), w[3]}, 4);
        put_many(t, w + 5, n - 5);
        return;
    case OP_MUL_ADD_NV:
        put_head(t, OP_MUL_ADD_KHR, n);
        put_many(t, w + 1, n - 1);
        return;
    case OP_LENGTH_NV:
        put_head(t, OP_LENGTH_KHR, n);
        put_many(t, w + 1, n - 1);
        return;
    case OP_SPEC_CONSTANT_OP:
        put_many(t, w, 3);
        put(t, w[3] == OP_LENGTH_NV ? OP_LENGTH_KHR : w[3]);
        put_many(t, w + 4, n - 4);
        return;
    default: put_many(t, w, n);
    }
}

static bool walk(translation *t, const uint32_t *words, size_t count, int pass) {
    bool in_function = false, numbered = false;
    for (size_t at = HEADER; at < count && !t->reason;) {
        const uint32_t *w = words + at;
        uint32_t n = w[0] >> 16, op = w[0] & 0xffff;
        if (n < least_length(op) || n > count - at) return refuse(t, "an instruction is cut off");
        in_function |= op == OP_FUNCTION;
        if (pass == 0) collect(t, w, n, in_function);
        else if (pass == 1) find_uses(t, w);
        else rewrite(t, w, n, &numbered);
        at += n;
    }
    return !t->reason;
}

static bool is_module(const uint32_t *words, size_t count) {
    return count >= HEADER && words[0] == 0x07230203 && words[BOUND] > 0 && words[BOUND] <= MAX_BOUND;
}

bool spirv_matrix_found(const uint32_t *words, size_t count) {
    if (!is_module(words, count)) return false;
    for (size_t at = HEADER; at + 1 < count && words[at] >> 16 > 0; at += words[at] >> 16)
        if ((words[at] & 0xffff) == OP_CAPABILITY && words[at + 1] == CAPABILITY_NV) return true;
    return false;
}

uint32_t *spirv_matrix_translate(const uint32_t *words, size_t count, size_t *translated, const char **reason) {
    *translated = 0;
    *reason = "not a SPIR-V module";
    if (!is_module(words, count)) return NULL;
    translation t = {.bound = words[BOUND]};
    t.ids = calloc(t.bound, sizeof *t.ids);
    if (!t.ids) abort();
    put_many(&t, words, HEADER);
    t.out[BOUND] = t.bound + USES;
    bool good = walk(&t, words, count, 0) && walk(&t, words, count, 1) && walk(&t, words, count, 2);
    free(t.ids);
    *reason = t.reason;
    *translated = t.used;
    if (good) return t.out;
    *translated = 0;
    free(t.out);
    return NULL;
}
