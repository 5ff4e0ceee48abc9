/* Locked sampling of a driving clip: what the chunks' pictures show, and what a chunk takes over from the one before.
 */
#include "pipelines/drive/drive_internal.h"

#include <math.h>
#include <string.h>

enum {
    POINTS_ACROSS_CELL = 4, /* points looked at along each side of a latent cell, and of a pixel */
    POINTS_ACROSS_PIXEL = 1,
    CARRIED_FILES = 3 /* a chunk is in the journal before the third one after it is sampled */
};
static const float STRENGTH = 1;   /* at every step */
static const double CELL_SIZE = 2; /* places: the picture's own drawing of what is smaller stays */

bool kn_drive_locks(const kn_drive_job *job) {
    return job->params.source == KN_DRIVE_SAMPLER && !job->params.no_locked_sampling;
}

kn_lock_params kn_drive_lock_params(const kn_drive_job *job) {
    bool pixels = kn_model_get_info(job->model)->pixel_noise;
    int across = pixels ? POINTS_ACROSS_PIXEL : POINTS_ACROSS_CELL;
    if (!kn_drive_locks(job)) return (kn_lock_params){0};
    return (kn_lock_params){.first = STRENGTH, .last = STRENGTH, .samples = across * across};
}

/* The longest lens of the rig decides how small a place can be. */
static double place_angle(const kn_drive_job *job, int factor) {
    double focal = 0;
    for (int i = 0; i < job->rig.camera_count; i++) focal = fmax(focal, job->rig.cameras[i].k[0][0]);
    return factor / focal;
}

bool kn_drive_lock_init_chunk(const kn_drive_job *job, kn_drive_chunk *chunk, kn_error *error) {
    if (!kn_drive_locks(job)) return true;
    const kn_model_info *info = kn_model_get_info(job->model);
    int factor = info->pixel_noise ? 1 : info->latent_factor;
    kn_surface_params params = {.width = job->rig.cameras[0].width / factor,
                                .height = job->rig.cameras[0].height / factor,
                                .samples = info->pixel_noise ? POINTS_ACROSS_PIXEL : POINTS_ACROSS_CELL,
                                .sky_angle = place_angle(job, factor),
                                .detail = CELL_SIZE};
    return kn_surface_window_create(&chunk->surfaces, job->scene, &params, error);
}

size_t kn_drive_latent_floats(const kn_drive_job *job) {
    const kn_model_info *info = kn_model_get_info(job->model);
    size_t factor = (size_t)info->latent_factor, width = (size_t)job->rig.cameras[0].width / factor,
           height = (size_t)job->rig.cameras[0].height / factor;
    return (size_t)info->latent_channels * width * height;
}

static size_t carried_floats(const kn_drive_job *job) {
    return job->carried * (size_t)job->rig.camera_count * kn_drive_latent_floats(job);
}

/* Where the latents lie that a chunk hands on. */
static char *carried_path(const kn_drive_job *job, size_t chunk, kn_error *error) {
    char name[40];
    snprintf(name, sizeof name, "carried-%zu.bin", chunk % CARRIED_FILES);
    return kn_path_join(job->work, name, error);
}

static bool read_carried(kn_drive_job *job, size_t chunk, kn_error *error) {
    kn_file_map map = {0};
    char *path = carried_path(job, chunk, error);
    size_t floats = carried_floats(job);
    bool ok = path && kn_file_map_init(&map, path, error);
    if (ok && map.size != floats * sizeof(float))
        ok = kn_fail(error, KN_ERROR_INPUT, "%s: %zu bytes, expected %zu", path, map.size, floats * sizeof(float));
    if (ok) memcpy(job->latents, map.data, map.size);
    for (size_t i = 0; ok && i < floats; i++)
        ok = isfinite(job->latents[i]) || kn_fail(error, KN_ERROR_INPUT, "%s: number %zu is not finite", path, i);
    kn_file_map_finish(&map);
    kn_free(path);
    return ok;
}

bool kn_drive_lock_init(kn_drive_job *job, size_t first, kn_error *error) {
    if (!kn_drive_locks(job)) return true;
    size_t pictures = job->chunk_frames * (size_t)job->rig.camera_count;
    kn_drive_scratch *s = &job->scratch;
    return (s->matte = kn_alloc(job->pixels, sizeof *s->matte, error)) &&
           (s->latents = kn_alloc(pictures * kn_drive_latent_floats(job), sizeof *s->latents, error)) &&
           (job->latents = kn_alloc(carried_floats(job) + 1, sizeof *job->latents, error)) &&
           (first == 0 || job->carried == 0 || read_carried(job, first - 1, error));
}

void kn_drive_lock_finish(kn_drive_job *job) {
    for (int i = 0; i < 2; i++) kn_surface_window_destroy(&job->chunks[i].surfaces);
    kn_free(job->scratch.matte);
    kn_free(job->scratch.latents);
    kn_free(job->latents);
    job->scratch.matte = job->scratch.latents = job->latents = NULL;
}

/* How much a surface looks the same from everywhere: glass, wet ground and paint mirror. */
static void find_matte(const float *conditions, size_t pixels, float *matte) {
    const float *glass = conditions + (KN_CONDITION_CLASS + KN_CLASS_WINDOW) * pixels;
    const float *wet = conditions + KN_CONDITION_WET * pixels;
    for (size_t i = 0; i < pixels; i++) matte[i] = fmaxf(.1f, 1 - .6f * glass[i] - .6f * wet[i]);
}

bool kn_drive_lock_add(kn_drive_job *job, kn_drive_chunk *chunk, size_t frame, size_t picture, int camera,
                       const float *conditions, kn_error *error) {
    if (!kn_drive_locks(job)) return true;
    const kn_camera *view = &job->rig.cameras[camera];
    size_t pixels = (size_t)view->width * (size_t)view->height;
    if (picture == 0 && !kn_surface_window_begin(chunk->surfaces, frame, chunk->carried + chunk->frames, error))
        return false;
    find_matte(conditions, pixels, job->scratch.matte);
    kn_surface_picture shown = {.camera = view,
                                .frame = frame,
                                .depth = job->scratch.depth,
                                .normal = conditions + KN_CONDITION_NORMAL * pixels,
                                .instance = job->scratch.instance,
                                .matte = job->scratch.matte,
                                .decided = picture < chunk->carried * (size_t)job->rig.camera_count};
    return kn_surface_window_add(chunk->surfaces, picture, &shown, error);
}

bool kn_drive_lock_before(kn_drive_job *job, kn_drive_chunk *chunk, kn_lock *lock, kn_sample_input *input,
                          kn_error *error) {
    (void)error;
    if (!kn_drive_locks(job)) return true;
    const kn_surface_links *links = kn_surface_window_links(chunk->surfaces);
    *lock = (kn_lock){.samples = links->samples,
                      .cells = links->cells,
                      .weights = links->weights,
                      .hold = links->hold,
                      .cell_count = links->cell_count};
    input->lock = lock;
    input->known = job->latents;
    input->known_count = (int)(chunk->carried * (size_t)job->rig.camera_count);
    input->latents = job->scratch.latents;
    return true;
}

bool kn_drive_lock_after(kn_drive_job *job, const kn_drive_chunk *chunk, kn_error *error) {
    if (!kn_drive_locks(job) || job->carried == 0 || chunk->index + 1 == job->chunk_count) return true;
    size_t floats = carried_floats(job), pictures = (chunk->carried + chunk->frames) * (size_t)job->rig.camera_count;
    memcpy(job->latents, job->scratch.latents + pictures * kn_drive_latent_floats(job) - floats,
           floats * sizeof *job->latents);
    char *path = carried_path(job, chunk->index, error);
    bool ok = path && kn_file_write(path, job->latents, floats * sizeof *job->latents, error);
    kn_free(path);
    return ok;
}
