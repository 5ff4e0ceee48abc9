#include "spirv.h"

#include <stdlib.h>
#include <string.h>

/* Opcodes, decorations, storage classes: SPIR-V specification 1.6, section 3. */
enum {
    OP_EXECUTION_MODE = 16,
    OP_CAPABILITY = 17,
    OP_TYPE_INT = 21,
    OP_TYPE_FLOAT = 22,
    OP_TYPE_VECTOR = 23,
    OP_TYPE_MATRIX = 24,
    OP_TYPE_IMAGE = 25,
    OP_TYPE_SAMPLED_IMAGE = 27,
    OP_TYPE_ARRAY = 28,
    OP_TYPE_RUNTIME_ARRAY = 29,
    OP_TYPE_STRUCT = 30,
    OP_TYPE_POINTER = 32,
    OP_CONSTANT = 43,
    OP_CONSTANT_COMPOSITE = 44,
    OP_SPEC_CONSTANT_TRUE = 48,
    OP_SPEC_CONSTANT_FALSE = 49,
    OP_SPEC_CONSTANT = 50,
    OP_SPEC_CONSTANT_COMPOSITE = 51,
    OP_VARIABLE = 59,
    OP_DECORATE = 71,
    OP_MEMBER_DECORATE = 72
};
enum {
    DECORATION_SPEC_ID = 1,
    DECORATION_ARRAY_STRIDE = 6,
    DECORATION_MATRIX_STRIDE = 7,
    DECORATION_BUILTIN = 11,
    DECORATION_NON_WRITABLE = 24,
    DECORATION_NON_READABLE = 25,
    DECORATION_BINDING = 33,
    DECORATION_SET = 34,
    DECORATION_OFFSET = 35
};
enum { CLASS_UNIFORM_CONSTANT = 0, CLASS_UNIFORM = 2, CLASS_PUSH_CONSTANT = 9, CLASS_STORAGE_BUFFER = 12 };
enum { CAPABILITY_MATRIX = 6022, MODE_LOCAL_SIZE = 17, BUILTIN_WORKGROUP_SIZE = 25, IMAGE_DIM_BUFFER = 5 };

typedef struct member {
    uint32_t offset, matrix_stride;
    bool non_writable, non_readable;
} member;

/* What is known of one result id. */
typedef struct symbol {
    const uint32_t *instruction; /* the defining instruction, or NULL */
    uint32_t array_stride, binding, set;
    int spec_id;
    bool has_binding, non_writable, non_readable, workgroup_size;
    member *members; /* of a struct type */
    uint32_t member_count;
} symbol;

typedef struct module {
    symbol *symbols;
    uint32_t bound;
    const char *reason;
} module;

static bool refuse(module *m, const char *reason) {
    if (!m->reason) m->reason = reason;
    return false;
}

static symbol *get(module *m, uint32_t id) {
    if (id >= m->bound) {
        refuse(m, "an id is out of range");
        return &m->symbols[0];
    }
    return &m->symbols[id];
}

static uint32_t opcode(const symbol *s) { return s->instruction ? s->instruction[0] & 0xffff : 0; }
static uint32_t length(const symbol *s) { return s->instruction ? s->instruction[0] >> 16 : 0; }

static member *get_member(module *m, uint32_t id, uint32_t index) {
    symbol *s = get(m, id);
    if (index >= 4096) {
        refuse(m, "a struct has more than 4096 members");
        index = 0;
    }
    if (index >= s->member_count) {
        member *grown = realloc(s->members, (index + 1) * sizeof(*grown));
        if (!grown) abort();
        memset(grown + s->member_count, 0, (index + 1 - s->member_count) * sizeof(*grown));
        s->members = grown;
        s->member_count = index + 1;
    }
    return &s->members[index];
}

static void decorate(symbol *s, const uint32_t *w, uint32_t n) {
    uint32_t value = n > 3 ? w[3] : 0;
    switch (w[2]) {
    case DECORATION_SPEC_ID: s->spec_id = (int)value; break;
    case DECORATION_ARRAY_STRIDE: s->array_stride = value; break;
    case DECORATION_BUILTIN: s->workgroup_size = value == BUILTIN_WORKGROUP_SIZE; break;
    case DECORATION_NON_WRITABLE: s->non_writable = true; break;
    case DECORATION_NON_READABLE: s->non_readable = true; break;
    case DECORATION_BINDING: s->binding = value, s->has_binding = true; break;
    case DECORATION_SET: s->set = value; break;
    default: break;
    }
}

static void decorate_member(member *t, const uint32_t *w, uint32_t n) {
    uint32_t value = n > 4 ? w[4] : 0;
    switch (w[3]) {
    case DECORATION_OFFSET: t->offset = value; break;
    case DECORATION_MATRIX_STRIDE: t->matrix_stride = value; break;
    case DECORATION_NON_WRITABLE: t->non_writable = true; break;
    case DECORATION_NON_READABLE: t->non_readable = true; break;
    default: break;
    }
}

/* First pass: where every id of interest is defined, how it is decorated, and the literal local size. */
static void collect(module *m, const uint32_t *w, uint32_t n, spirv_info *info) {
    uint32_t op = w[0] & 0xffff;
    if (op == OP_CAPABILITY && n >= 2) {
        info->matrices |= w[1] == CAPABILITY_MATRIX;
    } else if (op == OP_DECORATE && n >= 3) {
        decorate(get(m, w[1]), w, n);
    } else if (op == OP_MEMBER_DECORATE && n >= 4) {
        decorate_member(get_member(m, w[1], w[2]), w, n);
    } else if (op == OP_EXECUTION_MODE && n >= 6 && w[2] == MODE_LOCAL_SIZE) {
        memcpy(info->local_size, w + 3, sizeof(info->local_size));
    } else if (op >= OP_TYPE_INT && op <= OP_TYPE_POINTER && n >= 2) {
        get(m, w[1])->instruction = w;
        if (op == OP_TYPE_STRUCT && n > 2) get_member(m, w[1], n - 3);
    } else if (((op >= OP_CONSTANT && op <= OP_SPEC_CONSTANT_COMPOSITE) || op == OP_VARIABLE) && n >= 3) {
        get(m, w[2])->instruction = w;
    }
}

/* Value of a scalar 32-bit constant id; for a specialization constant its default. */
static uint32_t constant_value(module *m, uint32_t id) {
    symbol *s = get(m, id);
    if ((opcode(s) == OP_CONSTANT || opcode(s) == OP_SPEC_CONSTANT) && length(s) > 3) return s->instruction[3];
    return 0;
}

/* Bytes that a member of type `id` covers from its offset. */
static uint32_t type_size(module *m, uint32_t id, uint32_t matrix_stride, int depth) {
    symbol *s = get(m, id);
    const uint32_t *w = s->instruction;
    bool four = opcode(s) >= OP_TYPE_VECTOR && opcode(s) <= OP_TYPE_ARRAY;
    if (depth > 32 || length(s) < (four ? 4u : 3u)) return 0;
    switch (opcode(s)) {
    case OP_TYPE_INT:
    case OP_TYPE_FLOAT: return w[2] / 8;
    case OP_TYPE_VECTOR: return w[3] * type_size(m, w[2], 0, depth + 1);
    case OP_TYPE_MATRIX: return w[3] * (matrix_stride ? matrix_stride : type_size(m, w[2], 0, depth + 1));
    case OP_TYPE_ARRAY: return s->array_stride * constant_value(m, w[3]);
    case OP_TYPE_POINTER: return 8; /* a buffer reference */
    case OP_TYPE_STRUCT: {
        uint32_t size = 0;
        for (uint32_t i = 0; i + 2 < length(s); i++) {
            const member *t = &s->members[i];
            uint32_t end = t->offset + type_size(m, w[2 + i], t->matrix_stride, depth + 1);
            size = end > size ? end : size;
        }
        return size;
    }
    default: return 0;
    }
}

/* A binding that several variables alias is read or written when any of them is. */
static bool add_binding(module *m, const symbol *variable, spirv_info *info, int kind, bool reads, bool writes) {
    if (variable->set != 0) return refuse(m, "a binding is not in set 0");
    if (variable->binding >= SPIRV_BINDINGS) return refuse(m, "a binding number is above 31");
    spirv_binding *b = &info->bindings[variable->binding];
    if (b->kind && b->kind != kind) return refuse(m, "one binding is both a storage buffer and a texel buffer");
    b->kind = kind;
    b->reads |= reads;
    b->writes |= writes;
    if (variable->binding >= info->binding_count) info->binding_count = variable->binding + 1;
    return true;
}

static bool add_storage(module *m, const symbol *variable, const symbol *type, spirv_info *info) {
    if (opcode(type) != OP_TYPE_STRUCT) return refuse(m, "arrays of buffers are not supported");
    bool non_writable = type->member_count > 0, non_readable = type->member_count > 0;
    for (uint32_t i = 0; i < type->member_count; i++) {
        non_writable &= type->members[i].non_writable;
        non_readable &= type->members[i].non_readable;
    }
    return add_binding(m, variable, info, 1, !(non_readable || variable->non_readable),
                       !(non_writable || variable->non_writable));
}

static bool add_texel(module *m, const symbol *variable, const symbol *type, spirv_info *info) {
    const symbol *image =
        opcode(type) == OP_TYPE_SAMPLED_IMAGE && length(type) > 2 ? get(m, type->instruction[2]) : type;
    if (opcode(image) != OP_TYPE_IMAGE || length(image) < 9 || image->instruction[3] != IMAGE_DIM_BUFFER ||
        image->instruction[7] != 1)
        return refuse(m, "only storage buffers, samplerBuffer and usamplerBuffer may be bound");
    return add_binding(m, variable, info, 2, true, false);
}

static bool add_variable(module *m, const symbol *variable, spirv_info *info) {
    const symbol *pointer = get(m, variable->instruction[1]);
    if (opcode(pointer) != OP_TYPE_POINTER || length(pointer) < 4 || length(variable) < 4)
        return refuse(m, "a variable is not a pointer");
    uint32_t pointee = pointer->instruction[3];
    switch (variable->instruction[3]) {
    case CLASS_STORAGE_BUFFER: return add_storage(m, variable, get(m, pointee), info);
    case CLASS_UNIFORM_CONSTANT: return add_texel(m, variable, get(m, pointee), info);
    case CLASS_UNIFORM: return refuse(m, "uniform blocks are not supported: use push constants or a readonly buffer");
    case CLASS_PUSH_CONSTANT:
        info->push_size = (type_size(m, pointee, 0, 0) + 3) / 4 * 4;
        return info->push_size <= 128 || refuse(m, "the push constants are larger than 128 bytes");
    default: return true;
    }
}

static bool add_constant(module *m, const symbol *s, spirv_info *info) {
    if (s->spec_id < 0) return true;
    if (s->spec_id >= 64) return refuse(m, "a specialization constant's id is above 63");
    if (length(s) > 4) return refuse(m, "a specialization constant is wider than 32 bits");
    info->constants |= UINT64_C(1) << s->spec_id;
    return true;
}

static void add_workgroup_size(module *m, const symbol *s, spirv_info *info) {
    for (uint32_t i = 0; i < 3 && i + 3 < length(s); i++) {
        info->local_size[i] = constant_value(m, s->instruction[3 + i]);
        info->local_size_id[i] = get(m, s->instruction[3 + i])->spec_id;
    }
}

/* Second pass: every definition, now that all types and decorations are known. */
static bool interpret(module *m, spirv_info *info) {
    for (uint32_t id = 0; id < m->bound; id++) {
        const symbol *s = &m->symbols[id];
        switch (opcode(s)) {
        case OP_VARIABLE:
            if (!add_variable(m, s, info)) return false;
            break;
        case OP_SPEC_CONSTANT:
        case OP_SPEC_CONSTANT_TRUE:
        case OP_SPEC_CONSTANT_FALSE:
            if (!add_constant(m, s, info)) return false;
            break;
        case OP_CONSTANT_COMPOSITE:
        case OP_SPEC_CONSTANT_COMPOSITE:
            if (s->workgroup_size) add_workgroup_size(m, s, info);
            break;
        default: break;
        }
    }
    return !m->reason;
}

bool spirv_read(const uint32_t *words, size_t count, spirv_info *info, const char **reason) {
    *info = (spirv_info){.local_size = {1, 1, 1}, .local_size_id = {-1, -1, -1}};
    module m = {0};
    if (count < 5 || words[0] != 0x07230203 || words[3] == 0 || words[3] > 1u << 22) {
        *reason = "not a SPIR-V module";
        return false;
    }
    m.bound = words[3];
    m.symbols = calloc(m.bound, sizeof(*m.symbols));
    if (!m.symbols) abort();
    for (uint32_t id = 0; id < m.bound; id++) m.symbols[id].spec_id = -1;
    for (size_t at = 5; at < count;) {
        uint32_t n = words[at] >> 16;
        if (n == 0 || n > count - at) {
            refuse(&m, "an instruction is cut off");
            break;
        }
        collect(&m, words + at, n, info);
        at += n;
    }
    bool good = !m.reason && interpret(&m, info);
    *reason = m.reason;
    for (uint32_t id = 0; id < m.bound; id++) free(m.symbols[id].members);
    free(m.symbols);
    return good;
}
