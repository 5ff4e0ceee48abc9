#include "diffusion/files/pickle.h"

#include <string.h>

/* Opcodes (pickletools.py). */
enum {
    OP_MARK = '(',
    OP_STOP = '.',
    OP_POP = '0',
    OP_POP_MARK = '1',
    OP_DUP = '2',
    OP_NONE = 'N',
    OP_TRUE = 0x88,
    OP_FALSE = 0x89,
    OP_INT4 = 'J',
    OP_INT1 = 'K',
    OP_INT2 = 'M',
    OP_LONG1 = 0x8a,
    OP_FLOAT = 'G',
    OP_TEXT4 = 'X',
    OP_TEXT1 = 0x8c,
    OP_TEXT8 = 0x8d,
    OP_BYTES4 = 'B',
    OP_BYTES1 = 'C',
    OP_STRING4 = 'T',
    OP_STRING1 = 'U',
    OP_EMPTY_TUPLE = ')',
    OP_TUPLE = 't',
    OP_TUPLE1 = 0x85,
    OP_TUPLE2 = 0x86,
    OP_TUPLE3 = 0x87,
    OP_EMPTY_LIST = ']',
    OP_APPEND = 'a',
    OP_APPENDS = 'e',
    OP_EMPTY_DICT = '}',
    OP_SET_ITEM = 's',
    OP_SET_ITEMS = 'u',
    OP_GLOBAL = 'c',
    OP_STACK_GLOBAL = 0x93,
    OP_REDUCE = 'R',
    OP_NEW_OBJECT = 0x81,
    OP_NEW_OBJECT_EX = 0x92,
    OP_EMPTY_SET = 0x8f,
    OP_ADD_ITEMS = 0x90,
    OP_FROZEN_SET = 0x91,
    OP_BUILD = 'b',
    OP_PERSISTENT = 'Q',
    OP_PUT1 = 'q',
    OP_PUT4 = 'r',
    OP_MEMOIZE = 0x94,
    OP_GET1 = 'h',
    OP_GET4 = 'j',
    OP_PROTOCOL = 0x80,
    OP_FRAME = 0x95
};

typedef struct machine {
    kn_pickle *pickle;
    const char *label;
    const uint8_t *data;
    size_t size, at;
    kn_pickle_value **stack, **memo; /* NULL on the stack: a mark */
    size_t depth, stack_capacity, memo_count, memo_capacity;
    kn_error *error;
} machine;

static bool broken(machine *m, const char *reason) {
    return kn_fail(m->error, KN_ERROR_INPUT, "%s: pickle, byte %zu: %s", m->label, m->at, reason);
}

/* --- values ----------------------------------------------------------------------------------- */

static kn_pickle_value *new_value(machine *m, kn_pickle_kind kind) {
    kn_pickle_value *value = kn_arena_alloc(&m->pickle->arena, 1, sizeof *value, m->error);
    if (!value) return NULL;
    value->kind = kind;
    if (kind != KN_PICKLE_TUPLE && kind != KN_PICKLE_LIST && kind != KN_PICKLE_DICT) return value;
    kn_pickle *pickle = m->pickle;
    if (!kn_grow(&pickle->lists, &pickle->list_capacity, pickle->list_count + 1, sizeof *pickle->lists, m->error))
        return NULL;
    return pickle->lists[pickle->list_count++] = value;
}

static bool push(machine *m, kn_pickle_value *value) {
    if (!kn_grow(&m->stack, &m->stack_capacity, m->depth + 1, sizeof *m->stack, m->error)) return false;
    m->stack[m->depth++] = value;
    return true;
}

static bool push_new(machine *m, kn_pickle_kind kind) {
    kn_pickle_value *value = new_value(m, kind);
    return value && push(m, value);
}

static bool push_int(machine *m, kn_pickle_kind kind, int64_t integer) {
    kn_pickle_value *value = new_value(m, kind);
    if (!value) return false;
    value->integer = integer;
    return push(m, value);
}

/* The topmost value; NULL with the error set when the stack is empty or a mark is on top. */
static kn_pickle_value *pop(machine *m) {
    kn_pickle_value *value = m->depth ? m->stack[m->depth - 1] : NULL;
    if (!value) broken(m, "an opcode finds too few values on the stack");
    else m->depth--;
    return value;
}

static bool add_items(machine *m, kn_pickle_value *list, kn_pickle_value *const *items, size_t count) {
    if (count == 0) return true;
    if (!kn_grow(&list->items, &list->capacity, list->count + count, sizeof *list->items, m->error)) return false;
    memcpy(list->items + list->count, items, count * sizeof *items);
    list->count += count;
    return true;
}

/* The values above the last mark; takes them and the mark off the stack. They stay readable until the next push. */
static bool pop_to_mark(machine *m, kn_pickle_value ***items, size_t *count) {
    size_t at = m->depth;
    while (at > 0 && m->stack[at - 1]) at--;
    if (at == 0) return broken(m, "a mark is missing");
    *items = m->stack + at;
    *count = m->depth - at;
    m->depth = at - 1;
    return true;
}

/* --- constants -------------------------------------------------------------------------------- */

static bool take(machine *m, size_t bytes, const uint8_t **data) {
    if (m->size - m->at < bytes) return broken(m, "the pickle ends in the middle of an opcode (truncated file?)");
    *data = m->data + m->at;
    m->at += bytes;
    return true;
}

static bool take_number(machine *m, size_t bytes, uint64_t *number) {
    const uint8_t *data = NULL;
    if (!take(m, bytes, &data)) return false;
    *number = 0;
    for (size_t i = bytes; i-- > 0;) *number = *number << 8 | data[i];
    return true;
}

static bool push_text(machine *m, size_t length_bytes) {
    uint64_t length;
    const uint8_t *text;
    if (!take_number(m, length_bytes, &length)) return false;
    if (length > m->size - m->at) return broken(m, "a text is longer than the pickle");
    if (!take(m, (size_t)length, &text)) return false;
    if (memchr(text, 0, (size_t)length)) return push_new(m, KN_PICKLE_FOREIGN); /* bytes of a number or the like */
    kn_pickle_value *value = new_value(m, KN_PICKLE_TEXT);
    if (!value) return false;
    value->text = (const char *)text;
    value->length = (size_t)length;
    return push(m, value);
}

static bool push_long(machine *m) {
    uint64_t length, number = 0;
    if (!take_number(m, 1, &length)) return false;
    if (length > 8) return broken(m, "an integer does not fit 64 bits");
    if (!take_number(m, (size_t)length, &number)) return false;
    if (length > 0 && length < 8 && number >> (8 * length - 1)) number |= UINT64_MAX << (8 * length);
    return push_int(m, KN_PICKLE_INT, (int64_t)number);
}

static bool push_float(machine *m) {
    const uint8_t *data = NULL;
    uint64_t bits = 0;
    if (!take(m, 8, &data)) return false;
    for (int i = 0; i < 8; i++) bits = bits << 8 | data[i];
    kn_pickle_value *value = new_value(m, KN_PICKLE_FLOAT);
    if (!value) return false;
    memcpy(&value->real, &bits, 8);
    return push(m, value);
}

static bool constant(machine *m, int op) {
    uint64_t number;
    switch (op) {
    case OP_NONE: return push_new(m, KN_PICKLE_NONE);
    case OP_TRUE: return push_int(m, KN_PICKLE_BOOL, 1);
    case OP_FALSE: return push_int(m, KN_PICKLE_BOOL, 0);
    case OP_INT1: return take_number(m, 1, &number) && push_int(m, KN_PICKLE_INT, (int64_t)number);
    case OP_INT2: return take_number(m, 2, &number) && push_int(m, KN_PICKLE_INT, (int64_t)number);
    case OP_INT4: return take_number(m, 4, &number) && push_int(m, KN_PICKLE_INT, (int32_t)(uint32_t)number);
    case OP_LONG1: return push_long(m);
    case OP_FLOAT: return push_float(m);
    case OP_TEXT1:
    case OP_BYTES1:
    case OP_STRING1: return push_text(m, 1);
    case OP_TEXT8: return push_text(m, 8);
    default: return push_text(m, 4); /* OP_TEXT4, OP_BYTES4, OP_STRING4 */
    }
}

/* --- containers ------------------------------------------------------------------------------- */

static bool push_tuple(machine *m, size_t count) {
    kn_pickle_value *tuple = new_value(m, KN_PICKLE_TUPLE);
    if (!tuple) return false;
    for (size_t i = 0; i < count; i++) {
        if (m->depth <= i || !m->stack[m->depth - 1 - i])
            return broken(m, "an opcode finds too few values on the stack");
    }
    m->depth -= count;
    return (count == 0 || add_items(m, tuple, m->stack + m->depth, count)) && push(m, tuple);
}

static bool push_marked_tuple(machine *m) {
    kn_pickle_value **items, *tuple;
    size_t count;
    return pop_to_mark(m, &items, &count) && (tuple = new_value(m, KN_PICKLE_TUPLE)) &&
           add_items(m, tuple, items, count) && push(m, tuple);
}

/* Adds values to the list or dictionary that is on top below them. */
static bool extend(machine *m, kn_pickle_kind kind, bool marked) {
    kn_pickle_value **items;
    size_t count = kind == KN_PICKLE_DICT ? 2 : 1;
    if (marked) {
        if (!pop_to_mark(m, &items, &count)) return false;
    } else {
        for (size_t i = 0; i < count; i++) {
            if (!pop(m)) return false;
        }
        items = m->stack + m->depth;
    }
    kn_pickle_value *target = m->depth ? m->stack[m->depth - 1] : NULL;
    if (target && target->kind == KN_PICKLE_FOREIGN) return true; /* an object that is also a container */
    if (!target || target->kind != kind || (kind == KN_PICKLE_DICT && count % 2))
        return broken(m, kind == KN_PICKLE_DICT ? "keys and values have no dictionary to go to"
                                                : "values have no list to go to");
    return add_items(m, target, items, count);
}

/* --- globals and calls ------------------------------------------------------------------------ */

/* Libraries whose classes training leaves in checkpoints beside the tensors. Nothing of them is ever looked up or run;
 * the list keeps files that ask for anything else (os.system) from passing as checkpoints. */
static bool is_text(const char *text, size_t length, const char *wanted) {
    return strlen(wanted) == length && memcmp(text, wanted, length) == 0;
}

static bool is_one_of(const char *text, size_t length, const char *const *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (is_text(text, length, list[i])) return true;
    return false;
}

static bool is_inert(const char *module, size_t module_length, const char *name, size_t name_length) {
    static const char *const packages[] = {"pytorch_lightning",
                                           "lightning",
                                           "lightning_fabric",
                                           "lightning_utilities",
                                           "numpy",
                                           "omegaconf",
                                           "torchmetrics",
                                           "ldm",
                                           "sgm",
                                           "diffusers",
                                           "argparse",
                                           "collections",
                                           "transformers",
                                           "typing",
                                           "datetime",
                                           "pathlib",
                                           "decimal",
                                           "easydict",
                                           "yacs",
                                           "ml_collections",
                                           "copyreg",
                                           "copy_reg"};
    static const char *const builtins[] = {"int",   "long",      "unicode", "float", "bool",  "str",
                                           "bytes", "bytearray", "complex", "list",  "tuple", "dict",
                                           "set",   "frozenset", "slice",   "range", "object"};
    static const char *const torch[] = {"device", "dtype", "float16", "float32", "float64", "bfloat16",
                                        "int64",  "int32", "uint8",   "bool",    "strided"};
    size_t package = 0;
    while (package < module_length && module[package] != '.') package++;
    if (is_one_of(module, package, packages, KN_COUNT(packages))) return true;
    if (is_text(module, module_length, "builtins") || is_text(module, module_length, "__builtin__"))
        return is_one_of(name, name_length, builtins, KN_COUNT(builtins));
    if (is_text(module, module_length, "torch")) return is_one_of(name, name_length, torch, KN_COUNT(torch));
    /* the second: how protocol 2 writes bytes */
    return (package < module_length && is_text(module, package, "torch")) ||
           (is_text(module, module_length, "_codecs") && is_text(name, name_length, "encode"));
}

static bool push_named(machine *m, const char *module, size_t module_length, const char *name, size_t name_length) {
    static const struct {
        const char *module, *name;
        kn_pickle_global global;
        kn_dtype dtype;
    } known[] = {{"collections", "OrderedDict", KN_GLOBAL_ORDERED_DICT, 0},
                 {"torch._utils", "_rebuild_tensor_v2", KN_GLOBAL_TENSOR, 0},
                 {"torch._utils", "_rebuild_parameter", KN_GLOBAL_PARAMETER, 0},
                 {"torch", "Size", KN_GLOBAL_SIZE, 0},
                 {"torch", "DoubleStorage", KN_GLOBAL_STORAGE, KN_DTYPE_F64},
                 {"torch", "FloatStorage", KN_GLOBAL_STORAGE, KN_DTYPE_F32},
                 {"torch", "HalfStorage", KN_GLOBAL_STORAGE, KN_DTYPE_F16},
                 {"torch", "BFloat16Storage", KN_GLOBAL_STORAGE, KN_DTYPE_BF16},
                 {"torch", "LongStorage", KN_GLOBAL_STORAGE, KN_DTYPE_I64},
                 {"torch", "IntStorage", KN_GLOBAL_STORAGE, KN_DTYPE_I32},
                 {"torch", "ShortStorage", KN_GLOBAL_STORAGE, KN_DTYPE_I16},
                 {"torch", "CharStorage", KN_GLOBAL_STORAGE, KN_DTYPE_I8},
                 {"torch", "ByteStorage", KN_GLOBAL_STORAGE, KN_DTYPE_U8},
                 {"torch", "BoolStorage", KN_GLOBAL_STORAGE, KN_DTYPE_BOOL}};
    for (size_t i = 0; i < KN_COUNT(known); i++) {
        if (strlen(known[i].module) != module_length || memcmp(known[i].module, module, module_length) != 0 ||
            strlen(known[i].name) != name_length || memcmp(known[i].name, name, name_length) != 0)
            continue;
        kn_pickle_value *value = new_value(m, KN_PICKLE_GLOBAL);
        if (!value) return false;
        value->global = known[i].global;
        value->dtype = known[i].dtype;
        return push(m, value);
    }
    if (is_inert(module, module_length, name, name_length)) return push_new(m, KN_PICKLE_FOREIGN);
    return kn_fail(m->error, KN_ERROR_INPUT,
                   "%s: pickle, byte %zu: it asks for %.*s.%.*s, which is no tensor and is never run: save the file as "
                   "tensors only",
                   m->label, m->at, (int)kn_min_size(module_length, 100), module, (int)kn_min_size(name_length, 100),
                   name);
}

static bool take_line(machine *m, const char **text, size_t *length) {
    const uint8_t *start = m->data + m->at, *end = memchr(start, '\n', m->size - m->at);
    if (!end) return broken(m, "a name does not end");
    *text = (const char *)start;
    *length = (size_t)(end - start);
    m->at += *length + 1;
    return true;
}

static bool global(machine *m, int op) {
    const char *module, *name;
    size_t module_length, name_length;
    if (op == OP_GLOBAL)
        return take_line(m, &module, &module_length) && take_line(m, &name, &name_length) &&
               push_named(m, module, module_length, name, name_length);
    const kn_pickle_value *second = pop(m), *first = second ? pop(m) : NULL;
    if (!first) return false;
    if (first->kind != KN_PICKLE_TEXT || second->kind != KN_PICKLE_TEXT)
        return broken(m, "a global's name must be two texts");
    return push_named(m, first->text, first->length, second->text, second->length);
}

/* ("storage", type, key, device, number of elements) */
static bool persistent(machine *m) {
    const kn_pickle_value *id = pop(m);
    if (!id) return false;
    if (id->kind != KN_PICKLE_TUPLE || id->count < 5 || id->items[0]->kind != KN_PICKLE_TEXT ||
        id->items[0]->length != 7 || memcmp(id->items[0]->text, "storage", 7) != 0 ||
        id->items[1]->kind != KN_PICKLE_GLOBAL || id->items[1]->global != KN_GLOBAL_STORAGE ||
        id->items[2]->kind != KN_PICKLE_TEXT || id->items[4]->kind != KN_PICKLE_INT || id->items[4]->integer < 0)
        return broken(m, "a storage must be given as ('storage', type, key, device, number of elements)");
    kn_pickle_value *value = new_value(m, KN_PICKLE_STORAGE);
    if (!value) return false;
    value->storage.key = id->items[2]->text;
    value->storage.key_length = id->items[2]->length;
    value->storage.elements = (size_t)id->items[4]->integer;
    value->storage.element = id->items[1]->dtype;
    return push(m, value);
}

static bool read_integers(const kn_pickle_value *tuple, int64_t *out) {
    for (size_t i = 0; i < tuple->count; i++) {
        if (tuple->items[i]->kind != KN_PICKLE_INT || tuple->items[i]->integer < 0) return false;
        out[i] = tuple->items[i]->integer;
    }
    return true;
}

/* _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks, ...) */
static bool rebuild_tensor(machine *m, const kn_pickle_value *arguments) {
    kn_pickle_value *const *a = arguments->items;
    bool ok = arguments->count >= 4 && a[0]->kind == KN_PICKLE_STORAGE && a[1]->kind == KN_PICKLE_INT &&
              a[1]->integer >= 0 && a[2]->kind == KN_PICKLE_TUPLE && a[3]->kind == KN_PICKLE_TUPLE &&
              a[2]->count == a[3]->count && a[2]->count <= KN_TENSOR_MAX_RANK;
    kn_pickle_value *value = ok ? new_value(m, KN_PICKLE_TENSOR) : NULL;
    if (!ok)
        return broken(m, "a tensor must be given as (storage, offset, size, stride, ...) with at most 8 dimensions");
    if (!value ||
        !(value->tensor.shape = kn_arena_alloc(&m->pickle->arena, 2 * KN_TENSOR_MAX_RANK, sizeof(int64_t), m->error)))
        return false;
    value->tensor.source = a[0];
    value->tensor.offset = a[1]->integer;
    value->tensor.rank = (int)a[2]->count;
    value->tensor.stride = value->tensor.shape + KN_TENSOR_MAX_RANK;
    if (!read_integers(a[2], value->tensor.shape) || !read_integers(a[3], value->tensor.stride))
        return broken(m, "a tensor's size and stride must be integers of 0 or more");
    return push(m, value);
}

static bool reduce(machine *m) {
    kn_pickle_value *arguments = pop(m), *function = arguments ? pop(m) : NULL;
    if (!function) return false;
    if (function->kind == KN_PICKLE_FOREIGN) return push_new(m, KN_PICKLE_FOREIGN);
    if (function->kind != KN_PICKLE_GLOBAL || arguments->kind != KN_PICKLE_TUPLE ||
        function->global == KN_GLOBAL_STORAGE)
        return broken(m, "it calls something that is no tensor");
    if (function->global == KN_GLOBAL_TENSOR) return rebuild_tensor(m, arguments);
    if (function->global == KN_GLOBAL_ORDERED_DICT)
        return arguments->count == 0 ? push_new(m, KN_PICKLE_DICT)
                                     : broken(m, "collections.OrderedDict with arguments is not supported");
    kn_pickle_kind kind =
        function->global == KN_GLOBAL_PARAMETER ? KN_PICKLE_TENSOR : KN_PICKLE_TUPLE; /* torch.Size((...)) */
    if (arguments->count < 1 || arguments->items[0]->kind != kind)
        return broken(m, "torch._utils._rebuild_parameter or torch.Size has the wrong arguments");
    return push(m, arguments->items[0]);
}

/* Attributes of an OrderedDict (state_dict's _metadata) are dropped; nothing else has any. */
static bool build(machine *m) {
    const kn_pickle_value *state = pop(m);
    if (!state) return false;
    if (m->depth && m->stack[m->depth - 1] && m->stack[m->depth - 1]->kind == KN_PICKLE_FOREIGN) return true;
    if (m->depth == 0 || !m->stack[m->depth - 1] || m->stack[m->depth - 1]->kind != KN_PICKLE_DICT)
        return broken(m, "it sets attributes of something that is no dictionary");
    return true;
}

/* Objects of foreign classes, and sets, which no tensor needs. */
static bool foreign_operation(machine *m, int op) {
    kn_pickle_value **items;
    size_t count;
    if (op == OP_EMPTY_SET) return push_new(m, KN_PICKLE_FOREIGN);
    if (op == OP_FROZEN_SET) return pop_to_mark(m, &items, &count) && push_new(m, KN_PICKLE_FOREIGN);
    if (op == OP_ADD_ITEMS) {
        if (!pop_to_mark(m, &items, &count)) return false;
        bool set = m->depth && m->stack[m->depth - 1] && m->stack[m->depth - 1]->kind == KN_PICKLE_FOREIGN;
        return set || broken(m, "values have no set to go to");
    }
    if (op == OP_NEW_OBJECT_EX && !pop(m)) return false;
    const kn_pickle_value *arguments = pop(m), *class = arguments ? pop(m) : NULL;
    if (!class) return false;
    if (class->kind == KN_PICKLE_GLOBAL && class->global == KN_GLOBAL_ORDERED_DICT) return push_new(m, KN_PICKLE_DICT);
    return class->kind == KN_PICKLE_FOREIGN ? push_new(m, KN_PICKLE_FOREIGN)
                                            : broken(m, "it makes an object of something that is no class");
}

/* --- memo ------------------------------------------------------------------------------------- */

/* Every store takes at least two bytes, so that writers that count never reach half the size. */
static bool put(machine *m, uint64_t index) {
    if (m->depth == 0 || !m->stack[m->depth - 1]) return broken(m, "there is nothing to remember");
    if (index > m->size) return broken(m, "the memo's number is too large");
    if (!kn_grow(&m->memo, &m->memo_capacity, (size_t)index + 1, sizeof *m->memo, m->error)) return false;
    m->memo[index] = m->stack[m->depth - 1];
    m->memo_count = kn_max_size(m->memo_count, (size_t)index + 1);
    return true;
}

static bool get(machine *m, uint64_t index) {
    if (index >= m->memo_count || !m->memo[index]) return broken(m, "it recalls what was never remembered");
    return push(m, m->memo[index]);
}

static bool memo(machine *m, int op) {
    uint64_t index = m->memo_count;
    if (op == OP_MEMOIZE) return put(m, index);
    if (!take_number(m, op == OP_PUT1 || op == OP_GET1 ? 1 : 4, &index)) return false;
    return op == OP_PUT1 || op == OP_PUT4 ? put(m, index) : get(m, index);
}

/* --- the machine ------------------------------------------------------------------------------ */

static bool stack_operation(machine *m, int op) {
    kn_pickle_value **items;
    size_t count;
    if (op == OP_MARK) return push(m, NULL);
    if (op == OP_POP_MARK) return pop_to_mark(m, &items, &count);
    if (m->depth == 0) return broken(m, "the stack is empty");
    if (op == OP_DUP)
        return m->stack[m->depth - 1] ? push(m, m->stack[m->depth - 1]) : broken(m, "a mark cannot be copied");
    m->depth--;
    return true;
}

static bool header(machine *m, int op) {
    uint64_t number;
    if (!take_number(m, op == OP_FRAME ? 8 : 1, &number)) return false;
    return op == OP_FRAME || number <= 5 || broken(m, "an unknown pickle protocol");
}

static bool step(machine *m, int op) {
    switch (op) {
    case OP_NONE:
    case OP_TRUE:
    case OP_FALSE:
    case OP_INT1:
    case OP_INT2:
    case OP_INT4:
    case OP_LONG1:
    case OP_FLOAT:
    case OP_TEXT1:
    case OP_TEXT4:
    case OP_TEXT8:
    case OP_BYTES1:
    case OP_BYTES4:
    case OP_STRING1:
    case OP_STRING4: return constant(m, op);
    case OP_EMPTY_TUPLE: return push_tuple(m, 0);
    case OP_TUPLE1:
    case OP_TUPLE2:
    case OP_TUPLE3: return push_tuple(m, (size_t)(op - OP_TUPLE1 + 1));
    case OP_TUPLE: return push_marked_tuple(m);
    case OP_EMPTY_LIST: return push_new(m, KN_PICKLE_LIST);
    case OP_EMPTY_DICT: return push_new(m, KN_PICKLE_DICT);
    case OP_APPEND:
    case OP_APPENDS: return extend(m, KN_PICKLE_LIST, op == OP_APPENDS);
    case OP_SET_ITEM:
    case OP_SET_ITEMS: return extend(m, KN_PICKLE_DICT, op == OP_SET_ITEMS);
    case OP_GLOBAL:
    case OP_STACK_GLOBAL: return global(m, op);
    case OP_REDUCE: return reduce(m);
    case OP_NEW_OBJECT:
    case OP_NEW_OBJECT_EX:
    case OP_EMPTY_SET:
    case OP_ADD_ITEMS:
    case OP_FROZEN_SET: return foreign_operation(m, op);
    case OP_BUILD: return build(m);
    case OP_PERSISTENT: return persistent(m);
    case OP_PUT1:
    case OP_PUT4:
    case OP_MEMOIZE:
    case OP_GET1:
    case OP_GET4: return memo(m, op);
    case OP_MARK:
    case OP_POP:
    case OP_POP_MARK:
    case OP_DUP: return stack_operation(m, op);
    case OP_PROTOCOL:
    case OP_FRAME: return header(m, op);
    default:
        return kn_fail(m->error, KN_ERROR_INPUT,
                       "%s: pickle, byte %zu: opcode 0x%02x is not needed for tensors and is refused", m->label,
                       m->at - 1, (unsigned)op);
    }
}

bool kn_pickle_init(kn_pickle *pickle, const uint8_t *data, size_t size, const char *label, kn_error *error) {
    *pickle = (kn_pickle){0};
    machine m = {.pickle = pickle, .label = label, .data = data, .size = size, .error = error};
    bool ok = true, stopped = false;
    while (ok && !stopped) {
        const uint8_t *op = NULL;
        ok = take(&m, 1, &op);
        stopped = ok && *op == OP_STOP;
        ok = ok && (stopped || step(&m, *op));
    }
    pickle->root = ok ? pop(&m) : NULL;
    kn_free(m.stack);
    kn_free(m.memo);
    return pickle->root != NULL;
}

void kn_pickle_finish(kn_pickle *pickle) {
    for (size_t i = 0; i < pickle->list_count; i++) kn_free(pickle->lists[i]->items);
    kn_free(pickle->lists);
    kn_arena_finish(&pickle->arena);
    *pickle = (kn_pickle){0};
}
