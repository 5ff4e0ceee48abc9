#include "encoders/sequence.h"

#include "encoders/av.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

void kn_sequence_remove(const char *folder) {
    DIR *dir = opendir(folder);
    if (!dir) return;
    for (struct dirent *entry; (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    rmdir(folder);
}

bool kn_sequence_prepare(const char *folder, kn_error *error) {
    kn_sequence_remove(folder);
    if (mkdir(folder, 0777) != 0)
        return kn_fail(error, KN_ERROR_IO, "%s: cannot make the folder: %s", folder, strerror(errno));
    return true;
}

bool kn_sequence_write(const char *folder, int64_t index, const uint8_t *rgb, int width, int height, kn_error *error) {
    char *path = kn_format(error, "%s/%05lld.png", folder, (long long)index);
    bool ok = path && kn_png_write(path, rgb, width, height, 3 * width, AV_PIX_FMT_RGB24, error);
    kn_free(path);
    return ok;
}

bool kn_sequence_commit(const char *folder, const char *path, kn_error *error) {
    struct stat info;
    if (lstat(path, &info) == 0) {
        if (S_ISDIR(info.st_mode)) kn_sequence_remove(path);
        else unlink(path);
    }
    if (rename(folder, path) != 0)
        return kn_fail(error, KN_ERROR_IO, "%s: cannot rename into place: %s", path, strerror(errno));
    return true;
}

static bool is_image(const char *name) {
    static const char *const extensions[] = {".png", ".jpg", ".jpeg", ".bmp", ".tga"};
    const char *dot = strrchr(name, '.');
    if (!dot || *name == '.') return false;
    for (size_t i = 0; i < KN_COUNT(extensions); i++)
        if (strcasecmp(dot, extensions[i]) == 0) return true;
    return false;
}

static int compare_names(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

bool kn_sequence_list(const char *folder, char ***names, size_t *count, kn_error *error) {
    DIR *dir = opendir(folder);
    if (!dir) return kn_fail(error, KN_ERROR_IO, "%s: cannot open the folder: %s", folder, strerror(errno));
    char **list = NULL;
    size_t used = 0, capacity = 0;
    bool ok = true;
    for (struct dirent *entry; ok && (entry = readdir(dir));) {
        if (!is_image(entry->d_name)) continue;
        ok = kn_grow(&list, &capacity, used + 1, sizeof *list, error) &&
             (list[used] = kn_strdup(entry->d_name, error)) != NULL;
        used += ok;
    }
    closedir(dir);
    if (ok && used == 0)
        ok = kn_fail(error, KN_ERROR_INPUT, "%s: the folder holds no PNG, JPEG, BMP or TGA files", folder);
    if (!ok) {
        for (size_t i = 0; i < used; i++) kn_free(list[i]);
        kn_free(list);
        return false;
    }
    qsort(list, used, sizeof *list, compare_names);
    *names = list;
    *count = used;
    return true;
}
