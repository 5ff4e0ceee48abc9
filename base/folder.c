#include "base/folder.h"

#include "base/base.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

int kn_natural_compare(const char *a, const char *b) {
    const char *p = a, *q = b;
    while (*p && *q) {
        if (!is_digit(*p) || !is_digit(*q)) {
            if (*p != *q) return (unsigned char)*p < (unsigned char)*q ? -1 : 1;
            p++, q++;
            continue;
        }
        while (*p == '0') p++;
        while (*q == '0') q++;
        size_t digits[2] = {strspn(p, "0123456789"), strspn(q, "0123456789")};
        if (digits[0] != digits[1]) return digits[0] < digits[1] ? -1 : 1; /* the longer number is larger */
        int order = memcmp(p, q, digits[0]);
        if (order) return order < 0 ? -1 : 1;
        p += digits[0], q += digits[1];
    }
    if (*p || *q) return *p ? 1 : -1;
    return strcmp(a, b); /* "1" and "01" */
}

static int compare_names(const void *a, const void *b) {
    return kn_natural_compare(*(char *const *)a, *(char *const *)b);
}

bool kn_name_has_extension(const char *name, const char *const *extensions) {
    const char *dot = strrchr(name, '.');
    for (; dot && extensions && *extensions; extensions++)
        if (strcasecmp(dot, *extensions) == 0) return true;
    return false;
}

bool kn_folder_list(const char *folder, const char *const *extensions, char ***names, size_t *count, kn_error *error) {
    *names = NULL, *count = 0;
    DIR *directory = opendir(folder);
    if (!directory) {
        kn_error_kind kind = errno == ENOENT || errno == ENOTDIR ? KN_ERROR_INPUT : KN_ERROR_IO;
        return kn_fail(error, kind, "%s: cannot open the folder: %s", folder, strerror(errno));
    }
    char **list = NULL;
    size_t used = 0, capacity = 0;
    bool ok = true;
    for (struct dirent *entry; ok && (entry = readdir(directory));) {
        if (entry->d_name[0] == '.' || (extensions && !kn_name_has_extension(entry->d_name, extensions))) continue;
        ok = kn_grow(&list, &capacity, used + 1, sizeof *list, error) &&
             (list[used] = kn_strdup(entry->d_name, error)) != NULL;
        used += ok;
    }
    closedir(directory);
    if (!ok) {
        kn_names_free(list, used);
        return false;
    }
    if (used) qsort(list, used, sizeof *list, compare_names);
    *names = list, *count = used;
    return true;
}

void kn_names_free(char **names, size_t count) {
    for (size_t i = 0; names && i < count; i++) kn_free(names[i]);
    kn_free(names);
}
