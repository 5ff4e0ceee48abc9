/* Whole files and folders: hashes, removal. */
#define _GNU_SOURCE
#include "base/tree.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>

bool kn_file_hash(const char *path, char hex[65], kn_error *error) {
    kn_file_map map;
    if (!kn_file_map_init(&map, path, error)) return false;
    kn_sha256_hex(map.data, map.size, hex);
    kn_file_map_finish(&map);
    return true;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *where) {
    (void)info, (void)kind, (void)where;
    return remove(path);
}

bool kn_remove_tree(const char *path, kn_error *error) {
    if (nftw(path, remove_entry, 32, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT) return true;
    return kn_fail(error, KN_ERROR_IO, "%s: cannot remove: %s", path, strerror(errno));
}
