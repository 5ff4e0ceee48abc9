/* Joins the video reader and the mesh module. */
#include "pipelines/mesh_job.h"

#include <dirent.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/base.h"
#include "kinora/encoders.h"

typedef struct frames {
    kn_surface_view *views;
    size_t count, capacity;
} frames;

static void frames_finish(frames *f) {
    for (size_t i = 0; i < f->count; i++) kn_image_finish(&f->views[i].picture), kn_image_finish(&f->views[i].mask);
    kn_free(f->views);
    *f = (frames){0};
}

/* --- pictures -------------------------------------------------------------------------------------------------------------- */

static bool is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static int by_name(const void *a, const void *b) {
    char *const *p = a, *const *q = b;
    return strcmp(*p, *q);
}

static bool is_picture(const char *name) {
    static const char *const extensions[] = {".png", ".jpg", ".jpeg", ".bmp", ".tga", ".PNG", ".JPG", ".JPEG"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && name[0] != '.' && i < KN_COUNT(extensions); i++)
        if (strcmp(dot, extensions[i]) == 0) return true;
    return false;
}

/* Paths of the pictures in a folder, in the order of their names. */
static bool list_pictures(const char *folder, char ***paths, size_t *count, kn_error *error) {
    DIR *directory = opendir(folder);
    size_t capacity = 0;
    *paths = NULL, *count = 0;
    if (!directory) return kn_fail(error, KN_ERROR_IO, "%s: cannot read the folder", folder);
    bool ok = true;
    for (struct dirent *entry; ok && (entry = readdir(directory));) {
        if (!is_picture(entry->d_name)) continue;
        ok = kn_grow(paths, &capacity, *count + 1, sizeof **paths, error) && ((*paths)[*count] = kn_path_join(folder, entry->d_name, error));
        *count += ok;
    }
    closedir(directory);
    if (ok && *count) qsort(*paths, *count, sizeof **paths, by_name);
    if (ok && !*count) ok = kn_fail(error, KN_ERROR_INPUT, "%s: no PNG or JPEG pictures in this folder", folder);
    return ok;
}

static void free_paths(char **paths, size_t count) {
    for (size_t i = 0; i < count; i++) kn_free(paths[i]);
    kn_free(paths);
}

/* RGB, or RGBA where the file has alpha. */
static bool read_picture(kn_image *picture, const char *path, kn_error *error) {
    if (!kn_image_read(picture, path, 0, error)) return false;
    if (picture->channels != 1) return true;
    kn_image_finish(picture);
    return kn_image_read(picture, path, 3, error);
}

/* Which of `count` frames are used when at most `wanted` are. */
static bool chosen(size_t index, size_t count, size_t wanted) {
    if (count <= wanted) return true;
    return index * wanted / count != (index + 1) * wanted / count;
}

static size_t wanted_of(const kn_mesh_job *job) { return job->frames > 0 ? (size_t)job->frames : 120; }

static bool add_view(frames *f, const kn_view_camera *camera, kn_error *error) {
    if (!kn_grow(&f->views, &f->capacity, f->count + 1, sizeof *f->views, error)) return false;
    f->views[f->count++] = (kn_surface_view){.camera = *camera};
    return true;
}

static bool wrong_count(const kn_mesh_job *job, size_t pictures, size_t cameras, kn_error *error) {
    return kn_fail(error, KN_ERROR_INPUT, "%s has %zu frames but %s has %zu cameras: expected as many", job->input, pictures, job->cameras, cameras);
}

static bool read_folder(const kn_mesh_job *job, const kn_view_list *list, frames *f, kn_error *error) {
    char **paths;
    size_t count;
    bool ok = list_pictures(job->input, &paths, &count, error);
    if (ok && count != list->count) ok = wrong_count(job, count, list->count, error);
    for (size_t i = 0; ok && i < count; i++)
        if (chosen(i, count, wanted_of(job))) ok = add_view(f, &list->items[i], error) && read_picture(&f->views[f->count - 1].picture, paths[i], error);
    free_paths(paths, count);
    return ok;
}

static bool read_video(const kn_mesh_job *job, const kn_view_list *list, frames *f, kn_error *error) {
    kn_video_reader *reader = NULL;
    if (!kn_video_reader_create(&reader, job->input, (kn_rational){0, 0}, error)) return false;
    const kn_video_info *info = kn_video_reader_info(reader);
    int width = info->width, height = info->height;
    size_t index = 0;
    bool ok = true, end = false;
    kn_image picture = {0};
    while (ok && !end) {
        ok = (picture.data || kn_image_init(&picture, width, height, 3, error)) && kn_video_reader_next(reader, picture.data, NULL, &end, error);
        if (!ok || end) continue;
        if (index < list->count && chosen(index, list->count, wanted_of(job))) {
            ok = add_view(f, &list->items[index], error);
            if (ok) f->views[f->count - 1].picture = picture, picture = (kn_image){0};
        }
        index++;
    }
    if (ok && index == 1) ok = kn_fail(error, KN_ERROR_INPUT, "%s has one frame: expected an orbit of at least 3 around the object", job->input);
    if (ok && index != list->count) ok = wrong_count(job, index, list->count, error);
    kn_image_finish(&picture);
    kn_video_reader_destroy(&reader);
    return ok;
}

/* The picture that a camera file names: as written, or with an extension added as NeRF's own data needs. */
static char *named_picture(const char *cameras, const char *file, kn_error *error) {
    static const char *const extensions[] = {"", ".png", ".jpg"};
    char *path = NULL;
    for (size_t i = 0; i < KN_COUNT(extensions); i++) {
        char *name = kn_format(error, "%s%s", file, extensions[i]);
        path = name ? kn_path_beside(cameras, name, error) : NULL;
        kn_free(name);
        if (!path || (kn_file_exists(path) && !is_folder(path))) return path;
        if (i + 1 < KN_COUNT(extensions)) kn_free(path);
    }
    return path;
}

static bool read_named(const kn_mesh_job *job, const kn_view_list *list, frames *f, kn_error *error) {
    bool ok = true;
    for (size_t i = 0; ok && i < list->count; i++) {
        if (!chosen(i, list->count, wanted_of(job))) continue;
        if (!list->items[i].file[0]) return kn_fail(error, KN_ERROR_INPUT, "%s: camera %zu names no picture, so a video or a folder of pictures is needed", job->cameras, i);
        char *path = named_picture(job->cameras, list->items[i].file, error);
        ok = path && add_view(f, &list->items[i], error) && read_picture(&f->views[f->count - 1].picture, path, error);
        kn_free(path);
    }
    return ok;
}

static bool read_masks(const kn_mesh_job *job, size_t total, frames *f, kn_error *error) {
    char **paths;
    size_t count, used = 0;
    bool ok = list_pictures(job->masks, &paths, &count, error);
    if (ok && count != total) ok = kn_fail(error, KN_ERROR_INPUT, "%s has %zu masks for %zu frames: expected one each", job->masks, count, total);
    for (size_t i = 0; ok && i < count; i++)
        if (chosen(i, count, wanted_of(job))) ok = kn_image_read(&f->views[used++].mask, paths[i], 1, error);
    free_paths(paths, count);
    return ok;
}

static bool read_input(const kn_mesh_job *job, frames *f, kn_error *error) {
    kn_view_list list;
    if (!kn_view_list_read(&list, job->cameras, error)) return false;
    bool ok;
    if (!job->input) ok = read_named(job, &list, f, error);
    else if (is_folder(job->input)) ok = read_folder(job, &list, f, error);
    else ok = read_video(job, &list, f, error);
    if (ok && job->masks) ok = read_masks(job, list.count, f, error);
    kn_view_list_finish(&list);
    return ok;
}

/* --- results ---------------------------------------------------------------------------------------------------------------- */

static bool write_report(const kn_mesh_job *job, const kn_surface *s, const kn_mesh_result *r, const char *path, kn_error *error) {
    const kn_surface_facts *f = &r->facts;
    json_t *outputs = json_array(), *transform = json_array();
    for (int i = 0; i < job->output_count; i++) json_array_append_new(outputs, json_string(job->outputs[i]));
    for (int i = 0; i < 3; i++)
        json_array_append_new(transform, json_pack("[ffff]", s->from_input[i][0], s->from_input[i][1], s->from_input[i][2], s->from_input[i][3]));
    json_t *root = json_pack("{sI sI sI sI sI sb sb sb sI sf sf s[fff] sf sf sf s{sf sf sf} sI sf so so}", "frames", (json_int_t)r->frames, "triangles",
        (json_int_t)f->triangles, "vertices", (json_int_t)f->vertices, "components", (json_int_t)f->components, "charts", (json_int_t)s->chart_count, "watertight",
        f->closed, "manifold", f->manifold, "outward", f->outward, "degenerate", (json_int_t)f->degenerate, "volume_m3", f->volume, "area_m2", f->area, "size_m",
        f->size[0], f->size[1], f->size[2], "length_m", f->length, "width_m", f->width, "unseen_share", f->unseen, "confidence", "lower", f->confidence[0], "middle",
        f->confidence[1], "upper", f->confidence[2], "texture_pixels", (json_int_t)s->texture.width, "seconds", r->seconds, "outputs", outputs, "input_to_mesh", transform);
    char *text = root ? json_dumps(root, JSON_INDENT(1) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9)) : NULL;
    bool ok = text ? kn_file_write(path, text, strlen(text), error) : kn_fail(error, KN_ERROR_INTERNAL, "%s: the report cannot be written as JSON", path);
    free(text);
    json_decref(root);
    return ok;
}

/* `given`, or `name` beside the first output; owned by the caller. */
static char *beside(const kn_mesh_job *job, const char *given, const char *name, kn_error *error) {
    return given ? kn_strdup(given, error) : kn_path_beside(job->outputs[0], name, error);
}

static bool write_all(const kn_mesh_job *job, const kn_surface *s, const kn_mesh_result *result, kn_error *error) {
    char *report = beside(job, job->report, "report.json", error), *turntable = beside(job, job->turntable, "turntable.png", error);
    bool ok = report && turntable;
    for (int i = 0; ok && i < job->output_count; i++) ok = kn_surface_write(s, job->outputs[i], error);
    ok = ok && kn_surface_write_turntable(s, turntable, 1600, error) && write_report(job, s, result, report, error);
    kn_free(report), kn_free(turntable);
    return ok;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

bool kn_mesh_run(const kn_mesh_job *job, kn_mesh_result *result, kn_error *error) {
    *result = (kn_mesh_result){0};
    if (job->output_count < 1 || job->output_count > KN_MESH_MAX_OUTPUTS) return kn_fail(error, KN_ERROR_INPUT, "expected 1 to %d outputs", KN_MESH_MAX_OUTPUTS);
    for (int i = 0; i < job->output_count; i++)
        if (!kn_surface_format_known(job->outputs[i]))
            return kn_fail(error, KN_ERROR_INPUT, "%s: expected a name ending in .glb, .obj, .ply, .stl, .3mf or .usdz", job->outputs[i]);
    double started = now();
    frames f = {0};
    kn_gpu *gpu = NULL;
    kn_surface *surface = NULL;
    bool ok = read_input(job, &f, error) && kn_gpu_create(&gpu, &job->gpu, error) && kn_surface_build(&surface, gpu, f.views, f.count, &job->params, error);
    result->frames = f.count;
    result->seconds = now() - started;
    ok = ok && kn_surface_measure(surface, &result->facts, error);
    if (ok && !(result->facts.manifold && result->facts.outward)) ok = kn_fail(error, KN_ERROR_INTERNAL, "the surface is not closed");
    ok = ok && write_all(job, surface, result, error);
    kn_surface_destroy(&surface);
    kn_gpu_destroy(&gpu);
    frames_finish(&f);
    return ok;
}
