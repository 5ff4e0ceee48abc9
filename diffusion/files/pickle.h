/* The part of Python's pickle format that describes tensors, as values: no code is ever run. Format: Python's
 * Lib/pickletools.py.
 *
 * Accepted are the opcodes of protocols 2 to 5 that build constants, tuples, lists and dictionaries; the globals
 * collections.OrderedDict, torch._utils._rebuild_tensor_v2, torch._utils._rebuild_parameter, torch.Size and torch's
 * storage types; and calls of these only. Classes of libraries that training leaves in checkpoints (pytorch_lightning,
 * numpy, omegaconf, ...) become values without content: they are neither looked up nor run. Anything else is refused
 * with its name. Internal to diffusion/. */
#ifndef KN_DIFFUSION_PICKLE_H
#define KN_DIFFUSION_PICKLE_H

#include "diffusion/files/tensors.h"

typedef enum kn_pickle_kind {
    KN_PICKLE_NONE,
    KN_PICKLE_BOOL,
    KN_PICKLE_INT,
    KN_PICKLE_FLOAT,
    KN_PICKLE_TEXT,
    KN_PICKLE_TUPLE,
    KN_PICKLE_LIST,
    KN_PICKLE_DICT,
    KN_PICKLE_GLOBAL,
    KN_PICKLE_STORAGE,
    KN_PICKLE_TENSOR,
    KN_PICKLE_FOREIGN /* of a class that has nothing to do with tensors: passed over */
} kn_pickle_kind;

typedef enum kn_pickle_global {
    KN_GLOBAL_ORDERED_DICT,
    KN_GLOBAL_TENSOR,
    KN_GLOBAL_PARAMETER,
    KN_GLOBAL_SIZE,
    KN_GLOBAL_STORAGE
} kn_pickle_global;

typedef struct kn_pickle_value kn_pickle_value;
struct kn_pickle_value {
    kn_pickle_kind kind;
    union {
        int64_t integer; /* also booleans */
        double real;
        struct {
            const char *text;
            size_t length;
        }; /* UTF-8 without a NUL, inside the pickle */
        struct {
            kn_pickle_value **items;
            size_t count, capacity;
        }; /* tuple, list; a dictionary's keys and values alternate */
        struct {
            kn_pickle_global global;
            kn_dtype dtype;
        }; /* storage type: its dtype */
        struct {
            const char *key;
            size_t key_length, elements;
            kn_dtype element;
        } storage;
        struct {
            const kn_pickle_value *source;
            int64_t offset;
            int rank;
            int64_t *shape, *stride;
        } tensor; /* in elements; arrays of KN_TENSOR_MAX_RANK */
    };
};

typedef struct kn_pickle {
    kn_arena arena;
    kn_pickle_value **lists; /* values with items of their own */
    size_t list_count, list_capacity;
    kn_pickle_value *root;
} kn_pickle;

/* Reads a whole pickle; `data` outlives it. Containers may contain themselves: walk them with a limit. Finish also
 * after failure. */
bool kn_pickle_init(kn_pickle *pickle, const uint8_t *data, size_t size, const char *label, kn_error *error);
void kn_pickle_finish(kn_pickle *pickle);

#endif
