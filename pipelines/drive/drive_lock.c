/* Locked sampling of a driving clip: what the chunks' pictures show, and what earlier chunks decided about it. */
#include "pipelines/drive/drive_internal.h"

#include <math.h>

enum {
    POINTS_ACROSS_CELL = 4, /* points looked at along each side of a latent cell, and of a pixel */
    POINTS_ACROSS_PIXEL = 1,
    STORE_CELLS = 400000, /* about 60 MB of 32 channels */
    STORE_FILES = 3       /* a chunk is in the journal before the third one after it is sampled */
};
/* What earlier chunks decided is kept, but not used: fed back at .85 samples/drive/cut-in broke up from its second
 * chunk on. */
static const double STORE_SHARE = 0;
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
                                .place_angle = place_angle(job, factor),
                                .detail = CELL_SIZE};
    return kn_surface_window_create(&chunk->surfaces, job->scene, &params, error);
}

/* What was decided up to and with a chunk. */
static char *store_path(const kn_drive_job *job, size_t chunk, kn_error *error) {
    char name[40];
    snprintf(name, sizeof name, "surfaces-%zu.bin", chunk % STORE_FILES);
    return kn_path_join(job->work, name, error);
}

bool kn_drive_lock_init(kn_drive_job *job, size_t first, kn_error *error) {
    if (!kn_drive_locks(job)) return true;
    const kn_model_info *info = kn_model_get_info(job->model);
    kn_surface_store_params params = KN_SURFACE_STORE_PARAMS_DEFAULT;
    params.channels = info->pixel_noise ? 3 : info->latent_channels;
    params.capacity = STORE_CELLS;
    params.memory = STORE_SHARE;
    if (!(job->scratch.matte = kn_alloc(job->pixels, sizeof(float), error)) ||
        !kn_surface_store_create(&job->surfaces, &params, error))
        return false;
    if (first == 0) return true;
    char *path = store_path(job, first - 1, error);
    bool ok = path && kn_surface_store_read(job->surfaces, path, error);
    kn_free(path);
    return ok;
}

void kn_drive_lock_finish(kn_drive_job *job) {
    for (int i = 0; i < 2; i++) kn_surface_window_destroy(&job->chunks[i].surfaces);
    kn_surface_store_destroy(&job->surfaces);
    kn_free(job->scratch.matte);
    job->scratch.matte = NULL;
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
    if (picture == 0 && !kn_surface_window_begin(chunk->surfaces, frame, chunk->frames, error)) return false;
    find_matte(conditions, pixels, job->scratch.matte);
    kn_surface_picture shown = {.camera = view,
                                .frame = frame,
                                .depth = job->scratch.depth,
                                .normal = conditions + KN_CONDITION_NORMAL * pixels,
                                .instance = job->scratch.instance,
                                .matte = job->scratch.matte};
    return kn_surface_window_add(chunk->surfaces, picture, &shown, error);
}

bool kn_drive_lock_recall(kn_drive_job *job, kn_drive_chunk *chunk, kn_lock *lock, float **values, kn_error *error) {
    *values = NULL;
    if (!kn_drive_locks(job)) return true;
    const kn_model_info *info = kn_model_get_info(job->model);
    const kn_surface_links *links = kn_surface_window_links(chunk->surfaces);
    size_t channels = info->pixel_noise ? 3 : (size_t)info->latent_channels;
    if (!kn_surface_store_recall(job->surfaces, chunk->surfaces, error) ||
        !(*values = kn_alloc(links->cell_count * channels, sizeof **values, error)))
        return false;
    *lock = (kn_lock){.samples = links->samples,
                      .cells = links->cells,
                      .weights = links->weights,
                      .hold = links->hold,
                      .cell_count = links->cell_count,
                      .prior = links->prior,
                      .prior_share = links->prior_share,
                      .parents = links->parents,
                      .parent_count = links->parent_count,
                      .parent_prior = links->parent_prior,
                      .parent_share = links->parent_share};
    return true;
}

bool kn_drive_lock_keep(kn_drive_job *job, const kn_drive_chunk *chunk, const float *values, kn_error *error) {
    if (!kn_drive_locks(job)) return true;
    char *path = store_path(job, chunk->index, error);
    bool ok = path && kn_surface_store_keep(job->surfaces, chunk->surfaces, values, error) &&
              (chunk->index + 1 == job->chunk_count || kn_surface_store_write(job->surfaces, path, error));
    kn_free(path);
    return ok;
}
