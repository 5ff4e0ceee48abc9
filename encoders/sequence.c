#include "encoders/sequence.h"

#include "encoders/av.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
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

/* A name that a PNG sequence has: 00000.png, AIGC.json, or one of them on its way. */
static bool is_ours(const char *name) {
    size_t digits = strspn(name, "0123456789"), length = strlen(name);
    if (length > 5 && strcmp(name + length - 5, ".part") == 0) length -= 5;
    bool picture = digits >= 5 && length == digits + 4 && strncmp(name + digits, ".png", 4) == 0;
    return picture || (length == 9 && strncmp(name, "AIGC.json", 9) == 0);
}

bool kn_sequence_check(const char *path, kn_error *error) {
    struct stat info;
    if (lstat(path, &info) != 0) return true;
    if (!S_ISDIR(info.st_mode))
        return kn_fail(error, KN_ERROR_INPUT, "%s: is a file already, expected a new folder for the pictures", path);
    DIR *dir = opendir(path);
    if (!dir) return kn_fail(error, KN_ERROR_IO, "%s: cannot open the folder: %s", path, strerror(errno));
    bool ok = true;
    for (struct dirent *entry; ok && (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") && !is_ours(entry->d_name))
            ok = kn_fail(error, KN_ERROR_INPUT,
                         "%s: holds %s, which is no picture of a sequence; choose another folder", path, entry->d_name);
    closedir(dir);
    return ok;
}

bool kn_sequence_prepare(const char *folder, kn_error *error) {
    if (!kn_sequence_check(folder, error)) return false;
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
    if (!kn_sequence_check(path, error)) return false;
    kn_sequence_remove(path);
    if (rename(folder, path) != 0)
        return kn_fail(error, KN_ERROR_IO, "%s: cannot rename into place: %s", path, strerror(errno));
    return true;
}
