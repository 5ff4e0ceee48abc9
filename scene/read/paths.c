#include "scene/read/paths.h"

#include <ctype.h>
#include <dirent.h>
#include <string.h>
#include <strings.h>

const char *kn_skip_mark(const char *text, size_t *size) {
    if (*size < 3 || memcmp(text, "\xef\xbb\xbf", 3)) return text;
    *size -= 3;
    return text + 3;
}

static int hex_digit(char c) { return isdigit((unsigned char)c) ? c - '0' : (tolower((unsigned char)c) - 'a') + 10; }

/* "file:///a%20b" -> "/a b". */
static void unescape(char *path) {
    const char *from = path;
    if (!strncasecmp(from, "file:", 5)) {
        from += 5;
        if (!strncmp(from, "//", 2)) from += 2;
        if (!strncasecmp(from, "localhost/", 10)) from += 9;
    }
    for (; *from; from++) {
        bool escaped = *from == '%' && isxdigit((unsigned char)from[1]) && isxdigit((unsigned char)from[2]);
        *path++ = escaped ? (char)(hex_digit(from[1]) * 16 + hex_digit(from[2])) : *from;
        if (escaped) from += 2;
    }
    *path = 0;
}

/* Replaces one component by the entry of its folder that has the same letters in another case. */
static bool find_entry(const char *folder, char *component, size_t length) {
    DIR *dir = opendir(*folder ? folder : ".");
    bool found = false;
    for (struct dirent *entry; dir && !found && (entry = readdir(dir));) {
        if (strlen(entry->d_name) != length || strncasecmp(entry->d_name, component, length)) continue;
        memcpy(component, entry->d_name, length);
        found = true;
    }
    if (dir) closedir(dir);
    return found;
}

/* Corrects the case of letters from the first component on that does not exist. */
static bool correct_case(char *path) {
    for (char *part = path + (*path == '/'); *part;) {
        size_t length = strcspn(part, "/");
        char end = part[length];
        part[length] = 0;
        if (!kn_file_exists(path)) {
            char first = *part;
            *part = 0;
            bool here = !*path || kn_file_exists(path);
            char *folder = kn_strdup(path, NULL);
            *part = first;
            bool found = folder && here && find_entry(folder, part, length);
            kn_free(folder);
            if (!found) {
                part[length] = end;
                return false;
            }
        }
        part[length] = end;
        part += length + (end != 0);
    }
    return true;
}

char *kn_scene_path(const char *base_file, const char *name, kn_error *error) {
    char *plain = kn_path_beside(base_file, name, error), *other = plain ? kn_strdup(name, error) : NULL;
    if (!plain || kn_file_exists(plain)) {
        kn_free(other);
        return plain;
    }
    if (!other) return kn_free(plain), NULL;
    unescape(other);
    for (char *p = other; *p; p++) *p = *p == '\\' ? '/' : *p;
    char *path = kn_path_beside(base_file, other, error);
    kn_free(other);
    bool found = path && (kn_file_exists(path) || correct_case(path));
    if (!path || found) {
        kn_free(plain);
        return path;
    }
    kn_free(path);
    return plain;
}
