/* Where the pictures come from, which of them are used, and their cameras. */
#include "pipelines/mesh/mesh_input.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/base.h"
#include "base/folder.h"
#include "kinora/encoders.h"
#include "pipelines/mesh/mesh_given.h"

void kn_mesh_frames_finish(kn_mesh_frames *f) {
    for (size_t i = 0; i < f->count; i++) {
        kn_image_finish(&f->views[i].picture), kn_image_finish(&f->views[i].mask);
        kn_free((float *)f->views[i].depth), kn_free((float *)f->views[i].normals);
    }
    kn_free(f->views), kn_free(f->index);
    *f = (kn_mesh_frames){0};
}

/* --- pictures --------------------------------------------------------------------------------- */

static bool is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* Paths of the pictures in a folder, in natural order. */
static bool list_pictures(const char *folder, char ***paths, size_t *count, kn_error *error) {
    static const char *const extensions[] = {".pfm", ".png", ".jpg", ".jpeg", ".bmp", ".tga", NULL};
    if (!kn_folder_list(folder, extensions, paths, count, error)) return false;
    bool ok = *count > 0 || kn_fail(error, KN_ERROR_INPUT, "%s: no PNG or JPEG pictures in this folder", folder);
    for (size_t i = 0; ok && i < *count; i++) {
        char *path = kn_path_join(folder, (*paths)[i], error);
        ok = path != NULL;
        if (!ok) break;
        kn_free((*paths)[i]);
        (*paths)[i] = path;
    }
    return ok;
}

/* A picture upright, or as it is stored where cameras are given: they are about stored pixels, whatever Exif says. */
static bool read_image(kn_image *picture, const char *path, int channels, bool stored, kn_error *error) {
    return (stored ? kn_image_read_stored : kn_image_read)(picture, path, channels, error);
}

/* RGB, or RGBA where the file has alpha. */
static bool read_picture(kn_image *picture, const char *path, bool stored, kn_error *error) {
    if (!read_image(picture, path, 0, stored, error)) return false;
    if (picture->channels != 1) return true;
    kn_image_finish(picture);
    return read_image(picture, path, 3, stored, error);
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

/* --- frames ----------------------------------------------------------------------------------- */

typedef struct source {
    const kn_mesh_job *job;
    const kn_view_list *cameras; /* NULL: to be found */
    char **paths;                /* [count]; NULL: a video */
    size_t count;                /* frames; of a video known after the first visit */
} source;

/* Takes frame `index`; may keep the picture by emptying it. */
typedef bool (*visitor)(void *user, size_t index, kn_image *picture, kn_error *error);

static bool visit_video(source *s, visitor each, void *user, kn_error *error) {
    kn_video_reader *reader = NULL;
    if (!kn_video_reader_create(&reader, s->job->input, (kn_rational){0, 0}, error)) return false;
    const kn_video_info *info = kn_video_reader_info(reader);
    int width = info->width, height = info->height;
    bool ok = true, end = false;
    kn_image picture = {0};
    for (s->count = 0; ok && !end;) {
        ok = (picture.data || kn_image_init(&picture, width, height, 3, error)) &&
             kn_video_reader_next(reader, picture.data, NULL, &end, error);
        if (ok && !end) ok = each(user, s->count++, &picture, error);
    }
    kn_image_finish(&picture);
    kn_video_reader_destroy(&reader);
    return ok;
}

/* Visits all frames; of pictures only those with wanted[index] (NULL: all), a video is decoded as a whole. */
static bool visit(source *s, const bool *wanted, visitor each, void *user, kn_error *error) {
    if (!s->paths) return visit_video(s, each, user, error);
    bool ok = true;
    for (size_t i = 0; ok && i < s->count; i++) {
        kn_image picture = {0};
        if (wanted && !wanted[i]) continue;
        ok = read_picture(&picture, s->paths[i], s->cameras != NULL, error) && each(user, i, &picture, error);
        kn_image_finish(&picture);
    }
    return ok;
}

static bool named_paths(source *s, kn_error *error) {
    s->paths = kn_alloc(s->cameras->count, sizeof *s->paths, error);
    for (size_t i = 0; s->paths && i < s->cameras->count; i++) {
        const char *file = s->cameras->items[i].file;
        if (!file[0])
            return kn_fail(error, KN_ERROR_INPUT,
                           "%s: camera %zu names no picture, so a video or a folder of pictures is needed",
                           s->job->cameras, i);
        if (!(s->paths[i] = named_picture(s->job->cameras, file, error))) return false;
        s->count++;
    }
    return s->paths != NULL;
}

static bool check_count(const source *s, kn_error *error) {
    if (s->job->input && s->count == 1)
        return kn_fail(error, KN_ERROR_INPUT, "%s has one frame: expected an orbit of at least 3 around the object",
                       s->job->input);
    if (s->cameras && s->count != s->cameras->count)
        return kn_fail(error, KN_ERROR_INPUT, "%s has %zu frames but %s has %zu cameras: expected as many",
                       s->job->input, s->count, s->job->cameras, s->cameras->count);
    return true;
}

/* --- which are used --------------------------------------------------------------------------- */

typedef struct survey {
    kn_frame_look *looks;
    size_t count, capacity;
} survey;

static bool look(void *user, size_t index, kn_image *picture, kn_error *error) {
    survey *s = user;
    if (index >= 200000) return kn_fail(error, KN_ERROR_INPUT, "more than 200000 frames");
    if (!kn_grow(&s->looks, &s->capacity, s->count + 1, sizeof *s->looks, error)) return false;
    s->looks[s->count++] = kn_frame_look_at(picture);
    return true;
}

typedef struct keeper {
    kn_mesh_frames *frames;
    const kn_view_list *cameras;
    const bool *wanted; /* [count] */
    size_t count;       /* a video may have more frames than it should */
} keeper;

static bool keep(void *user, size_t index, kn_image *picture, kn_error *error) {
    const keeper *k = user;
    kn_mesh_frames *f = k->frames;
    if (index >= k->count || !k->wanted[index]) return true;
    if (!kn_grow(&f->views, &f->capacity, f->count + 1, sizeof *f->views, error) ||
        !kn_grow(&f->index, &f->index_capacity, f->count + 1, sizeof *f->index, error))
        return false;
    f->index[f->count] = index;
    f->views[f->count] = (kn_surface_view){.picture = *picture};
    if (k->cameras) f->views[f->count].camera = k->cameras->items[index];
    f->count++;
    *picture = (kn_image){0};
    return true;
}

/* Reads the frames that are used: all, or the sharpest where there are more than wanted. */
static bool read_frames(source *s, kn_mesh_frames *f, kn_error *error) {
    size_t most = s->job->frames > 0 ? (size_t)s->job->frames : 120;
    survey all = {0};
    bool surveyed = (!s->paths && !s->cameras) || (s->paths ? s->count : s->cameras->count) > most;
    bool ok = !surveyed || (visit(s, NULL, look, &all, error) && check_count(s, error));
    if (ok && !surveyed && !s->paths) s->count = s->cameras->count; /* a video whose frames the cameras count */
    bool *wanted = ok ? kn_alloc(s->count + 1, sizeof *wanted, error) : NULL;
    ok = wanted != NULL;
    if (ok && surveyed) kn_frames_choose(all.looks, s->count, most, wanted);
    for (size_t i = 0; ok && !surveyed && i < s->count; i++) wanted[i] = true;
    kn_free(all.looks);
    keeper k = {f, s->cameras, wanted, s->count};
    ok = ok && check_count(s, error) && visit(s, wanted, keep, &k, error) && check_count(s, error);
    f->total = s->count;
    kn_free(wanted);
    return ok;
}

/* --- masks and maps --------------------------------------------------------------------------- */

/* Paths of one `what` for each frame of the input. */
static bool list_given(const char *folder, const char *what, const kn_mesh_frames *f, char ***paths, size_t *count,
                       kn_error *error) {
    if (!list_pictures(folder, paths, count, error)) return false;
    return *count == f->total || kn_fail(error, KN_ERROR_INPUT, "%s has %zu %s for %zu frames: expected one each",
                                         folder, *count, what, f->total);
}

static bool read_masks(const kn_mesh_job *job, kn_mesh_frames *f, kn_error *error) {
    char **paths;
    size_t count;
    bool ok = list_given(job->masks, "masks", f, &paths, &count, error);
    for (size_t i = 0; ok && i < f->count; i++)
        ok = read_image(&f->views[i].mask, paths[f->index[i]], 1, job->cameras != NULL, error);
    kn_names_free(paths, count);
    return ok;
}

/* Depth (channels 1) or normal maps (3). */
static bool read_maps(const char *folder, int channels, kn_mesh_frames *f, kn_error *error) {
    char **paths;
    size_t count;
    bool ok = list_given(folder, channels == 1 ? "depth maps" : "normal maps", f, &paths, &count, error);
    for (size_t i = 0; ok && i < f->count; i++) {
        kn_surface_view *view = &f->views[i];
        float *map = NULL;
        ok = kn_given_map_read(&map, paths[f->index[i]], view->picture.width, view->picture.height, channels, error);
        if (channels == 1) view->depth = map;
        else view->normals = map;
    }
    kn_names_free(paths, count);
    return ok;
}

/* --- cameras ---------------------------------------------------------------------------------- */

/* Gives the frames their cameras and drops those that have none. */
static void assign(kn_mesh_frames *f, const kn_view_list *list) {
    size_t kept = 0;
    for (size_t i = 0; i < f->count; i++) {
        if (list->items[i].camera.width == 0) {
            kn_image_finish(&f->views[i].picture);
            continue;
        }
        f->views[i].camera = list->items[i];
        f->views[kept] = f->views[i], f->index[kept] = f->index[i], kept++;
    }
    f->count = kept;
}

static bool find_cameras(const kn_mesh_job *job, const source *s, kn_mesh_frames *f, kn_error *error) {
    const kn_image **pictures = kn_alloc(f->count + 1, sizeof *pictures, error);
    if (!pictures) return false;
    for (size_t i = 0; i < f->count; i++) pictures[i] = &f->views[i].picture;
    kn_find_params params = {.focal =
                                 s->paths ? kn_exif_focal(s->paths[0], pictures[0]->width, pictures[0]->height) : 0,
                             .log = job->params.log,
                             .progress = job->params.progress,
                             .progress_user = job->params.progress_user};
    kn_view_list list = {0};
    bool ok = kn_cameras_find(&list, pictures, f->count, &params, &f->found, error);
    kn_free(pictures);
    if (!ok) return kn_fail_prefix(error, "%s", job->input);
    assign(f, &list);
    kn_view_list_finish(&list);
    if (f->found.used < f->found.pictures)
        kn_log_line(&job->params.log, KN_LOG_WARNING,
                    "%s: %zu of %zu frames are left out, no camera was found for them", job->input,
                    f->found.pictures - f->found.used, f->found.pictures);
    return true;
}

bool kn_mesh_frames_init(kn_mesh_frames *f, const kn_mesh_job *job, kn_error *error) {
    kn_view_list list = {0};
    *f = (kn_mesh_frames){0};
    if (!job->input && !job->cameras)
        return kn_fail(error, KN_ERROR_INPUT,
                       "expected a video, a folder of pictures or a camera file that names pictures");
    if (job->cameras && !kn_view_list_read(&list, job->cameras, error)) return false;
    source s = {.job = job, .cameras = job->cameras ? &list : NULL};
    bool ok = true;
    if (!job->input) ok = named_paths(&s, error);
    else if (is_folder(job->input)) ok = list_pictures(job->input, &s.paths, &s.count, error) && check_count(&s, error);
    ok = ok && read_frames(&s, f, error) && (job->cameras || find_cameras(job, &s, f, error));
    if (ok && job->masks) ok = read_masks(job, f, error);
    if (ok && job->depth) ok = read_maps(job->depth, 1, f, error);
    if (ok && job->normals) ok = read_maps(job->normals, 3, f, error);
    kn_names_free(s.paths, s.paths ? s.count : 0);
    kn_view_list_finish(&list);
    if (!ok) kn_mesh_frames_finish(f);
    return ok;
}
