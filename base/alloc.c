#include "base/base.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

static _Thread_local uint64_t fail_after;

uint64_t kn_alloc_fail_after(uint64_t n) {
    uint64_t left = fail_after;
    fail_after = n;
    return left;
}

static bool forced_failure(void) { return fail_after && --fail_after == 0; }

void *kn_alloc(size_t count, size_t size, kn_error *error) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        kn_fail(error, KN_ERROR_MEMORY, "out of memory: %zu elements of %zu bytes", count, size);
        return NULL;
    }
    void *memory = forced_failure() ? NULL : calloc(bytes ? bytes : 1, 1);
    if (!memory) kn_fail(error, KN_ERROR_MEMORY, "out of memory: %zu bytes", bytes);
    return memory;
}

bool kn_grow(void *array_pointer, size_t *capacity, size_t needed, size_t size, kn_error *error) {
    if (needed <= *capacity) return true;
    size_t grown = kn_max_size(kn_max_size(needed, 16), *capacity + *capacity / 2), bytes;
    void *old, *memory = NULL;
    memcpy(&old, array_pointer, sizeof old);
    if (!__builtin_mul_overflow(grown, size, &bytes) && !forced_failure()) memory = realloc(old, bytes);
    if (!memory) return kn_fail(error, KN_ERROR_MEMORY, "out of memory: %zu elements of %zu bytes", grown, size);
    memset((char *)memory + *capacity * size, 0, (grown - *capacity) * size);
    memcpy(array_pointer, &memory, sizeof memory);
    *capacity = grown;
    return true;
}

void kn_free(void *memory) { free(memory); }

void kn_trim(void) {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

char *kn_strdup(const char *text, kn_error *error) {
    size_t size = strlen(text) + 1;
    char *copy = kn_alloc(size, 1, error);
    if (copy) memcpy(copy, text, size);
    return copy;
}

char *kn_format(kn_error *error, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = length < 0 ? NULL : kn_alloc((size_t)length + 1, 1, error);
    if (!text) return NULL;
    va_start(args, format);
    vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}

struct kn_arena_block {
    struct kn_arena_block *next;
    size_t used, size;
    _Alignas(16) unsigned char data[];
};

void *kn_arena_alloc(kn_arena *arena, size_t count, size_t size, kn_error *error) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 2) {
        kn_fail(error, KN_ERROR_MEMORY, "out of memory: %zu elements of %zu bytes", count, size);
        return NULL;
    }
    bytes = (bytes + 15) & ~(size_t)15;
    struct kn_arena_block *block = arena->blocks;
    if (!block || block->size - block->used < bytes) {
        size_t block_size = kn_max_size(bytes, 16384);
        block = kn_alloc(1, sizeof *block + block_size, error);
        if (!block) return NULL;
        block->size = block_size;
        block->next = arena->blocks;
        arena->blocks = block;
    }
    void *memory = block->data + block->used;
    block->used += bytes;
    return memory;
}

char *kn_arena_strdup(kn_arena *arena, const char *text, kn_error *error) {
    size_t size = strlen(text) + 1;
    char *copy = kn_arena_alloc(arena, size, 1, error);
    if (copy) memcpy(copy, text, size);
    return copy;
}

void kn_arena_finish(kn_arena *arena) {
    while (arena->blocks) {
        struct kn_arena_block *next = arena->blocks->next;
        kn_free(arena->blocks);
        arena->blocks = next;
    }
}
