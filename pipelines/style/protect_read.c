/* {"details": [{"name": "ring", "marks": [{"frame": 0, "box": [x, y, width, height]}, {"frame": 9, "mask": "m.png"},
 *                                         {"frame": 20, "points": [[x, y], ...], "radius": 8}]}]} */
#include "pipelines/style/protect.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE = 8 << 20, MAX_NAME = 60 };
static const double FAR = 1e6; /* pixels; no film is as large */

/* --- values ----------------------------------------------------------------------------------- */

typedef struct place {
    const char *path, *name;
    size_t mark;
    kn_error *error;
} place;

static bool fail(const place *p, const char *what) {
    return kn_fail(p->error, KN_ERROR_INPUT, "%s: \"%s\", mark %zu: %s", p->path, p->name, p->mark + 1, what);
}

static bool only_members(const json_t *object, const char *const *known, size_t count, const char **other) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        bool found = false;
        for (size_t i = 0; i < count; i++) found = found || strcmp(key, known[i]) == 0;
        *other = key;
        if (!found) return false;
    }
    return true;
}

static bool read_numbers(const json_t *list, double *numbers, size_t count) {
    if (!json_is_array(list) || json_array_size(list) != count) return false;
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(list, i);
        if (!json_is_number(value) || !(fabs(json_number_value(value)) < FAR)) return false;
        numbers[i] = json_number_value(value);
    }
    return true;
}

/* --- marks ------------------------------------------------------------------------------------ */

static bool read_box(const place *p, const json_t *value, kn_track_box *box) {
    double n[4];
    if (!read_numbers(value, n, 4) || n[2] < 1 || n[3] < 1)
        return fail(p, "\"box\" must be [left, top, width, height] in pixels, at least 1 x 1");
    *box = (kn_track_box){(float)n[0], (float)n[1], (float)n[2], (float)n[3]};
    return true;
}

/* The box around the points with a margin. */
static bool read_points(const place *p, const json_t *value, double radius, kn_track_box *box) {
    double low[2] = {FAR, FAR}, high[2] = {-FAR, -FAR}, n[2];
    size_t count = json_array_size(value);
    if (count < 1 || count > KN_PROTECT_POINTS) return fail(p, "\"points\" must be a list of 1 to 256 [x, y]");
    for (size_t i = 0; i < count; i++) {
        if (!read_numbers(json_array_get(value, i), n, 2)) return fail(p, "\"points\" must be a list of [x, y]");
        for (int c = 0; c < 2; c++) low[c] = fmin(low[c], n[c]), high[c] = fmax(high[c], n[c]);
    }
    *box = (kn_track_box){(float)(low[0] - radius), (float)(low[1] - radius), (float)(high[0] - low[0] + 2 * radius),
                          (float)(high[1] - low[1] + 2 * radius)};
    return true;
}

static bool read_mark(const place *p, const json_t *value, kn_protect_mark *mark) {
    static const char *const members[] = {"frame", "box", "mask", "points", "radius"};
    const char *other = "";
    if (!json_is_object(value)) return fail(p, "must be an object");
    if (!only_members(value, members, KN_COUNT(members), &other))
        return fail(p, "knows \"frame\", \"box\", \"mask\", \"points\" and \"radius\" only");
    const json_t *frame = json_object_get(value, "frame"), *box = json_object_get(value, "box"),
                 *mask = json_object_get(value, "mask"), *points = json_object_get(value, "points"),
                 *radius = json_object_get(value, "radius");
    if (!json_is_integer(frame) || json_integer_value(frame) < 0)
        return fail(p, "\"frame\" must be a whole number from 0");
    mark->frame = json_integer_value(frame);
    if ((box != NULL) + (mask != NULL) + (points != NULL) != 1)
        return fail(p, "expected one of \"box\", \"mask\" and \"points\"");
    if (radius &&
        (!points || !json_is_number(radius) || !(json_number_value(radius) >= 1) || json_number_value(radius) > 1000))
        return fail(p, "\"radius\" goes with \"points\" and must be from 1 to 1000 pixels");
    if (box) return read_box(p, box, &mark->box);
    mark->from_points = points != NULL;
    if (points) return read_points(p, points, radius ? json_number_value(radius) : 8, &mark->box);
    const char *path = json_string_value(mask);
    if (!path || !*path) return fail(p, "\"mask\" must be the name of a picture");
    return (mark->mask_path = kn_path_beside(p->path, path, p->error)) != NULL;
}

/* --- details ---------------------------------------------------------------------------------- */

static int by_frame(const void *a, const void *b) {
    int64_t x = ((const kn_protect_mark *)a)->frame, y = ((const kn_protect_mark *)b)->frame;
    return (x > y) - (x < y);
}

static bool read_marks(kn_protect_detail *detail, const json_t *marks, place *p) {
    size_t count = json_array_size(marks);
    if (count < 1 || count > KN_PROTECT_MARKS)
        return kn_fail(p->error, KN_ERROR_INPUT, "%s: \"%s\": \"marks\" must be a list of 1 to %d", p->path,
                       detail->name, KN_PROTECT_MARKS);
    if (!kn_grow(&detail->marks, &detail->capacity, count, sizeof *detail->marks, p->error)) return false;
    for (p->mark = 0; p->mark < count; p->mark++) {
        kn_protect_mark *mark = &detail->marks[detail->count++];
        *mark = (kn_protect_mark){0};
        if (!read_mark(p, json_array_get(marks, p->mark), mark)) return false;
    }
    qsort(detail->marks, detail->count, sizeof *detail->marks, by_frame);
    for (size_t i = 1; i < count; i++)
        if (detail->marks[i].frame == detail->marks[i - 1].frame)
            return kn_fail(p->error, KN_ERROR_INPUT, "%s: \"%s\": frame %lld is marked twice", p->path, detail->name,
                           (long long)detail->marks[i].frame);
    return true;
}

/* Names are shown, and stand in messages of one line. */
static bool good_name(const char *name) {
    size_t length = name ? strlen(name) : 0;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] < 32 || name[i] == 127) return false;
    return length > 0 && length <= MAX_NAME;
}

static bool read_detail(kn_protect *protect, const json_t *value, kn_error *error) {
    static const char *const members[] = {"name", "marks"};
    const char *other = "", *name = json_string_value(json_object_get(value, "name"));
    kn_protect_detail *detail = &protect->details[protect->count++];
    if (!good_name(name))
        return kn_fail(error, KN_ERROR_INPUT, "%s: detail %zu: \"name\" must be a text of 1 to %d bytes", protect->path,
                       protect->count, MAX_NAME);
    if (!only_members(value, members, KN_COUNT(members), &other))
        return kn_fail(error, KN_ERROR_INPUT, "%s: \"%s\": knows \"name\" and \"marks\", not \"%.60s\"", protect->path,
                       name, other);
    for (size_t i = 0; i + 1 < protect->count; i++)
        if (strcmp(protect->details[i].name, name) == 0)
            return kn_fail(error, KN_ERROR_INPUT, "%s: two details are called \"%s\"", protect->path, name);
    place p = {.path = protect->path, .name = name, .error = error};
    return (detail->name = kn_strdup(name, error)) && read_marks(detail, json_object_get(value, "marks"), &p);
}

static bool read_details(kn_protect *protect, const json_t *root, kn_error *error) {
    static const char *const members[] = {"details"};
    const char *other = "";
    const json_t *details = json_object_get(root, "details");
    size_t count = json_array_size(details);
    if (!json_is_object(root) || !only_members(root, members, 1, &other) || count < 1 || count > KN_PROTECT_DETAILS)
        return kn_fail(error, KN_ERROR_INPUT, "%s: expected {\"details\": [...]} with 1 to %d of them", protect->path,
                       KN_PROTECT_DETAILS);
    for (size_t i = 0; i < count; i++)
        if (!read_detail(protect, json_array_get(details, i), error)) return false;
    return true;
}

bool kn_protect_parse(kn_protect *protect, const char *path, const char *text, size_t size, kn_error *error) {
    json_error_t where;
    *protect = (kn_protect){0};
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    if (!root)
        return kn_fail(error, KN_ERROR_INPUT, "%s:%d: not valid JSON: %.200s", path, where.line > 0 ? where.line : 1,
                       where.text);
    bool ok = (protect->path = kn_strdup(path, error)) && read_details(protect, root, error);
    json_decref(root);
    if (!ok) kn_protect_finish(protect);
    return ok;
}

char *kn_protect_stamp(const kn_protect *protect, kn_error *error) {
    char *all = kn_strdup("", error);
    for (size_t i = 0; all && i < protect->count; i++)
        for (size_t j = 0; all && j < protect->details[i].count; j++) {
            const kn_protect_mark *m = &protect->details[i].marks[j];
            char hash[65] = "";
            if (m->mask.data) kn_sha256_hex(m->mask.data, (size_t)m->mask.width * (size_t)m->mask.height, hash);
            char *longer =
                kn_format(error, "%s%s %lld %g %g %g %g %s\n", all, protect->details[i].name, (long long)m->frame,
                          (double)m->box.x, (double)m->box.y, (double)m->box.width, (double)m->box.height, hash);
            kn_free(all);
            all = longer;
        }
    return all;
}

void kn_protect_finish(kn_protect *protect) {
    for (size_t i = 0; i < protect->count; i++) {
        kn_protect_detail *detail = &protect->details[i];
        for (size_t j = 0; j < detail->count; j++) {
            kn_free(detail->marks[j].mask_path);
            kn_image_finish(&detail->marks[j].mask);
        }
        kn_free(detail->marks);
        kn_free(detail->name);
    }
    kn_free(protect->path);
    *protect = (kn_protect){0};
}

/* --- against the film ------------------------------------------------------------------------- */

/* The box around what is at least half white. */
static bool read_mask(const kn_protect *protect, const kn_protect_detail *detail, kn_protect_mark *mark, int width,
                      int height, kn_error *error) {
    kn_image *mask = &mark->mask;
    if (!kn_image_read(mask, mark->mask_path, 1, error)) return false;
    if (mask->width != width || mask->height != height)
        return kn_fail(error, KN_ERROR_INPUT, "%s: is %d x %d, expected the film's %d x %d (%s, \"%s\")",
                       mark->mask_path, mask->width, mask->height, width, height, protect->path, detail->name);
    int low[2] = {width, height}, high[2] = {-1, -1};
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            if (mask->data[(size_t)y * (size_t)width + (size_t)x] < 128) continue;
            low[0] = x < low[0] ? x : low[0], high[0] = x > high[0] ? x : high[0];
            low[1] = y < low[1] ? y : low[1], high[1] = y > high[1] ? y : high[1];
        }
    if (high[0] < 0)
        return kn_fail(error, KN_ERROR_INPUT, "%s: marks nothing: no pixel is white (%s, \"%s\")", mark->mask_path,
                       protect->path, detail->name);
    mark->box =
        (kn_track_box){(float)low[0], (float)low[1], (float)(high[0] - low[0] + 1), (float)(high[1] - low[1] + 1)};
    return true;
}

/* Points may lie close to the border; what is around them is cut off there. */
static void keep_within(kn_track_box *box, float width, float height) {
    float right = fminf(box->x + box->width, width), bottom = fminf(box->y + box->height, height);
    box->x = fmaxf(box->x, 0), box->y = fmaxf(box->y, 0);
    box->width = right - box->x, box->height = bottom - box->y;
}

bool kn_protect_read(kn_protect *protect, const char *path, int width, int height, kn_error *error) {
    uint8_t *data = NULL;
    size_t size;
    *protect = (kn_protect){0};
    bool ok = kn_file_read(path, MAX_FILE, &data, &size, error) &&
              kn_protect_parse(protect, path, (const char *)data, size, error);
    kn_free(data);
    for (size_t i = 0; ok && i < protect->count; i++)
        for (size_t j = 0; ok && j < protect->details[i].count; j++) {
            kn_protect_detail *detail = &protect->details[i];
            kn_protect_mark *mark = &detail->marks[j];
            if (mark->mask_path) ok = read_mask(protect, detail, mark, width, height, error);
            else if (mark->from_points) keep_within(&mark->box, (float)width, (float)height);
            const kn_track_box *b = &mark->box;
            if (ok && !(b->x >= 0 && b->y >= 0 && b->width >= 1 && b->height >= 1 && b->x + b->width <= (float)width &&
                        b->y + b->height <= (float)height))
                ok = kn_fail(error, KN_ERROR_INPUT,
                             "%s: \"%s\", frame %lld: the box %g, %g, %g x %g is outside the frame of %d x %d", path,
                             detail->name, (long long)mark->frame, (double)b->x, (double)b->y, (double)b->width,
                             (double)b->height, width, height);
        }
    if (!ok) kn_protect_finish(protect);
    return ok;
}

bool kn_protect_check_frames(const kn_protect *protect, int64_t frames, kn_error *error) {
    for (size_t i = 0; i < protect->count; i++) {
        const kn_protect_detail *detail = &protect->details[i];
        int64_t last = detail->marks[detail->count - 1].frame;
        if (last >= frames)
            return kn_fail(error, KN_ERROR_INPUT, "%s: \"%s\": there is no frame %lld, the film has 0 to %lld",
                           protect->path, detail->name, (long long)last, (long long)frames - 1);
    }
    return true;
}
