#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool fail_errno(kn_error *error, const char *path, const char *what) {
    kn_error_kind kind = errno == ENOENT || errno == EISDIR || errno == ENOTDIR ? KN_ERROR_INPUT : KN_ERROR_IO;
    return kn_fail(error, kind, "%s: %s: %s", path, what, strerror(errno));
}

/* Reads to the end, whatever size the file says or gets meanwhile; one byte is kept free for the final NUL. */
static bool read_all(int file, const char *path, size_t limit, uint8_t **data, size_t *capacity, size_t *size,
                     kn_error *error) {
    for (;;) {
        if (!kn_grow(data, capacity, *size + 2, 1, error)) return false;
        size_t room = *capacity - 1 - *size;
        ssize_t got = read(file, *data + *size, room);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno(error, path, "cannot read");
        if (got == 0) break;
        *size += (size_t)got;
        if (*size > limit)
            return kn_fail(error, KN_ERROR_INPUT, "%s: more than %zu bytes, expected at most that", path, limit);
    }
    (*data)[*size] = 0;
    return true;
}

bool kn_file_read(const char *path, size_t limit, uint8_t **data, size_t *size, kn_error *error) {
    *data = NULL;
    *size = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hold us before it is refused */
    if (file < 0) return fail_errno(error, path, "cannot open");
    struct stat status;
    bool ok = fstat(file, &status) == 0 || fail_errno(error, path, "cannot read");
    if (ok && !S_ISREG(status.st_mode)) ok = kn_fail(error, KN_ERROR_INPUT, "%s: expected a regular file", path);
    if (ok && status.st_size > 0 && (uint64_t)status.st_size > limit)
        ok = kn_fail(error, KN_ERROR_INPUT, "%s: %lld bytes, expected at most %zu", path, (long long)status.st_size,
                     limit);
    size_t capacity = 0;
    if (ok && status.st_size > 0) ok = kn_grow(data, &capacity, (size_t)status.st_size + 2, 1, error);
    ok = ok && read_all(file, path, limit, data, &capacity, size, error);
    close(file);
    if (!ok) {
        kn_free(*data);
        *data = NULL, *size = 0;
    }
    return ok;
}

bool kn_file_map_init(kn_file_map *map, const char *path, kn_error *error) {
    *map = (kn_file_map){0};
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return fail_errno(error, path, "cannot open");
    struct stat status;
    bool ok = fstat(file, &status) == 0;
    if (!ok) {
        fail_errno(error, path, "cannot read");
    } else if (!S_ISREG(status.st_mode)) {
        ok = kn_fail(error, KN_ERROR_INPUT, "%s: expected a regular file", path);
    } else if (status.st_size > 0) {
        void *data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        ok = data != MAP_FAILED || fail_errno(error, path, "cannot map");
        if (ok) *map = (kn_file_map){data, (size_t)status.st_size};
    }
    close(file);
    return ok;
}

void kn_file_map_finish(kn_file_map *map) {
    if (map->data) munmap((void *)(uintptr_t)map->data, map->size);
    *map = (kn_file_map){0};
}

void kn_file_map_drop(const kn_file_map *map, const void *from, size_t size) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = (uintptr_t)from, start = (uintptr_t)map->data;
    if (!map->data || first < start || first - start > map->size || size > map->size - (first - start)) return;
    uintptr_t begin = (first + page - 1) / page * page, end = (first + size) / page * page;
    if (begin < end) madvise((void *)begin, end - begin, MADV_DONTNEED);
}

bool kn_file_writer_init(kn_file_writer *writer, const char *path, kn_error *error) {
    *writer = (kn_file_writer){.path = kn_strdup(path, error)};
    if (writer->path) writer->part_path = kn_format(error, "%s.part", path);
    if (writer->part_path) {
        writer->stream = fopen(writer->part_path, "wb");
        if (writer->stream) return true;
        fail_errno(error, path, "cannot write");
        kn_free(writer->part_path);
        writer->part_path = NULL; /* not ours to remove */
    }
    kn_file_writer_finish(writer);
    return false;
}

bool kn_file_writer_commit(kn_file_writer *writer, kn_error *error) {
    bool ok = fflush(writer->stream) == 0 && !ferror(writer->stream) && fsync(fileno(writer->stream)) == 0;
    if (fclose(writer->stream) != 0) ok = false;
    writer->stream = NULL;
    ok = ok && rename(writer->part_path, writer->path) == 0;
    if (!ok) fail_errno(error, writer->path, "cannot write");
    if (ok) {
        kn_free(writer->part_path);
        writer->part_path = NULL;
    }
    kn_file_writer_finish(writer);
    return ok;
}

void kn_file_writer_finish(kn_file_writer *writer) {
    if (writer->stream) fclose(writer->stream);
    if (writer->part_path) unlink(writer->part_path);
    kn_free(writer->path);
    kn_free(writer->part_path);
    *writer = (kn_file_writer){0};
}

bool kn_file_try(const char *path, kn_error *error) {
    kn_file_writer writer;
    if (!kn_file_writer_init(&writer, path, error)) return false;
    kn_file_writer_finish(&writer);
    return true;
}

bool kn_file_write(const char *path, const void *data, size_t size, kn_error *error) {
    kn_file_writer writer;
    if (!kn_file_writer_init(&writer, path, error)) return false;
    if (size && fwrite(data, 1, size, writer.stream) != size) {
        fail_errno(error, path, "cannot write");
        kn_file_writer_finish(&writer);
        return false;
    }
    return kn_file_writer_commit(&writer, error);
}

bool kn_file_exists(const char *path) { return access(path, F_OK) == 0; }

bool kn_make_directories(const char *path, kn_error *error) {
    char *copy = kn_strdup(path, error);
    if (!copy) return false;
    bool ok = true;
    for (char *end = copy + 1; ok && *copy; end++) {
        if (*end != '/' && *end != 0) continue;
        char kept = *end;
        *end = 0;
        struct stat status;
        if (mkdir(copy, 0777) != 0 && (errno != EEXIST || stat(copy, &status) != 0 || !S_ISDIR(status.st_mode))) {
            ok = false;
            if (errno == EEXIST) errno = ENOTDIR;
            kn_fail(error, KN_ERROR_IO, "%s: cannot create the folder: %s", path, strerror(errno));
        }
        *end = kept;
        if (!kept) break;
    }
    kn_free(copy);
    return ok;
}

size_t kn_path_existing(const char *path) {
    char *copy = kn_strdup(path, NULL);
    size_t length = copy ? strlen(copy) : 0;
    while (length > 0 && access(copy, F_OK) != 0) {
        while (length > 0 && copy[length - 1] == '/') length--;
        while (length > 0 && copy[length - 1] != '/') length--;
        copy[length] = 0;
    }
    kn_free(copy);
    return length;
}

void kn_remove_made_directories(const char *path, size_t kept) {
    char *copy = kn_strdup(path, NULL);
    size_t length = copy ? strlen(copy) : 0;
    while (length > kept && (rmdir(copy) == 0 || errno == ENOENT)) {
        while (length > kept && copy[length - 1] == '/') length--;
        while (length > kept && copy[length - 1] != '/') length--;
        copy[length] = 0;
    }
    kn_free(copy);
}

char *kn_path_join(const char *directory, const char *name, kn_error *error) {
    size_t length = strlen(directory);
    if (name[0] == '/' || length == 0) return kn_strdup(name, error);
    return kn_format(error, directory[length - 1] == '/' ? "%s%s" : "%s/%s", directory, name);
}

char *kn_path_beside(const char *base_file, const char *path, kn_error *error) {
    const char *slash = strrchr(base_file, '/');
    if (path[0] == '/' || !slash) return kn_strdup(path, error);
    return kn_format(error, "%.*s/%s", (int)(slash - base_file), base_file, path);
}
