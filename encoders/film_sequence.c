#include "encoders/film.h"
#include "encoders/sequence.h"
#include "encoders/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The name of picture `number` in `folder`. */
static char *picture_path(const kn_film_sequence *s, const char *folder, int64_t number, kn_error *error) {
    size_t begin, end;
    int digits;
    if (!kn_pattern_parse(s->format, &begin, &end, &digits)) return NULL;
    return kn_format(error, "%s%s%.*s%0*lld%s", folder, *folder ? "/" : "", (int)begin, s->format, digits,
                     (long long)number, s->format + end);
}

/* Pictures that the pattern names already; the first one's number, -1: none. */
static int64_t first_existing(const kn_film_sequence *s, char **name) {
    char **names;
    size_t count, begin, end;
    int digits;
    int64_t found = -1;
    *name = NULL;
    if (!kn_pattern_parse(s->format, &begin, &end, &digits) ||
        !kn_folder_list(*s->folder ? s->folder : ".", NULL, &names, &count, NULL))
        return -1;
    for (size_t i = 0; i < count && found < 0; i++) {
        size_t length = strlen(names[i]), tail = strlen(s->format + end),
               number = length > begin + tail ? length - begin - tail : 0;
        if (number == 0 || strncmp(names[i], s->format, begin) != 0 || strspn(names[i] + begin, "0123456789") != number)
            continue;
        if (strcmp(names[i] + begin + number, s->format + end) != 0) continue;
        found = strtoll(names[i] + begin, NULL, 10);
        *name = kn_strdup(names[i], NULL);
    }
    kn_names_free(names, count);
    return found;
}

bool kn_film_sequence_init(kn_film_sequence *s, const char *pattern, int64_t first, bool overwrite, kn_error *error) {
    *s = (kn_film_sequence){.first = first, .overwrite = overwrite};
    if (!kn_pattern_parse(pattern, NULL, NULL, NULL))
        return kn_fail(error, KN_ERROR_INPUT,
                       "%s: expected a pattern such as shot_%%06d.exr, with one %%d for the number", pattern);
    if (first < 0)
        return kn_fail(error, KN_ERROR_INPUT, "%s: first number %lld, expected 0 or more", pattern, (long long)first);
    const char *slash = strrchr(pattern, '/'), *name = slash ? slash + 1 : pattern;
    size_t letters = strcspn(name, "%");
    bool ok =
        (s->pattern = kn_strdup(pattern, error)) && (s->format = kn_strdup(name, error)) &&
        (s->folder = kn_format(error, "%.*s", slash ? (int)(slash == pattern ? 1 : slash - pattern) : 0, pattern)) &&
        (s->part = kn_format(error, "%s%s.%.*spart", s->folder, *s->folder ? "/" : "", (int)letters, name));
    if (!ok) return false;
    char *there = NULL;
    if (first_existing(s, &there) >= 0 && !overwrite)
        ok = kn_fail(error, KN_ERROR_INPUT, "%s: %s is there already; choose another name or ask to overwrite", pattern,
                     there ? there : "a picture");
    kn_free(there);
    s->existed = *s->folder ? kn_path_existing(s->folder) : 0;
    if (ok && *s->folder) ok = kn_make_directories(s->folder, error);
    if (!ok) return false;
    kn_sequence_remove(s->part); /* what a killed writer left */
    return mkdir(s->part, 0777) == 0 ||
           kn_fail(error, KN_ERROR_IO, "%s: cannot make the folder: %s", s->part, strerror(errno));
}

bool kn_film_sequence_add(kn_film_sequence *s, const uint8_t *data, size_t size, kn_error *error) {
    char *path = picture_path(s, s->part, s->first + s->count, error);
    bool ok = path && kn_file_write(path, data, size, error);
    s->count += ok;
    kn_free(path);
    return ok;
}

static bool remove_earlier(const kn_film_sequence *s, kn_error *error) {
    for (;;) {
        char *name = NULL;
        if (first_existing(s, &name) < 0) return true;
        char *path = name ? kn_path_join(s->folder, name, error) : NULL;
        bool ok =
            path && (unlink(path) == 0 || kn_fail(error, KN_ERROR_IO, "%s: cannot remove: %s", path, strerror(errno)));
        kn_free(name);
        kn_free(path);
        if (!ok) return false;
    }
}

bool kn_film_sequence_commit(kn_film_sequence *s, const char *name, const char *text, kn_error *error) {
    bool ok = !s->overwrite || remove_earlier(s, error);
    for (int64_t i = 0; ok && i < s->count; i++) {
        char *from = picture_path(s, s->part, s->first + i, error),
             *to = picture_path(s, s->folder, s->first + i, error);
        ok = from && to &&
             (rename(from, to) == 0 ||
              kn_fail(error, KN_ERROR_IO, "%s: cannot rename into place: %s", to, strerror(errno)));
        kn_free(from);
        kn_free(to);
    }
    char *path = ok && text ? kn_path_join(s->folder, name, error) : NULL;
    if (ok && text) ok = path && kn_file_write(path, text, strlen(text), error);
    kn_free(path);
    if (ok) kn_sequence_remove(s->part), s->existed = SIZE_MAX;
    return ok;
}

void kn_film_sequence_finish(kn_film_sequence *s) {
    bool made = s->part && s->existed != SIZE_MAX;
    if (made) kn_sequence_remove(s->part);
    if (made && *s->folder) kn_remove_made_directories(s->folder, s->existed);
    kn_free(s->pattern);
    kn_free(s->folder);
    kn_free(s->part);
    kn_free(s->format);
    *s = (kn_film_sequence){0};
}
