/* The renderer's life, its passes and kn_render. */
#include "scene/render/render_internal.h"

#include <math.h>
#include <string.h>

enum { MAX_SIZE = 16384 };

/* --- noise ------------------------------------------------------------------------------------ */

static bool submit_noise(kn_renderer *renderer, const kn_camera *camera, int channels, kn_error *error) {
    kn_render_pass *pass = &renderer->noise;
    bool fresh;
    if (!kn_render_pass_prepare(renderer, pass, camera->width, camera->height, channels, &fresh, error)) return false;
    if (fresh && !kn_render_pass_record(renderer, pass, KN_KERNEL_SCENE_NOISE, false, error))
        return kn_render_pass_drop(pass);
    return kn_gpu_submit(pass->recorder, error);
}

/* --- public ----------------------------------------------------------------------------------- */

/* Everything that hangs on the part of the world around the ego. */
static void leave_window(kn_renderer *renderer) {
    kn_render_beauty_finish(renderer);
    kn_render_lidar_finish(renderer);
    kn_render_pass_finish(&renderer->conditions);
    kn_render_pass_finish(&renderer->noise);
    kn_render_pass_finish(&renderer->beauty);
    kn_gpu_buffer **buffers[6] = {&renderer->nodes,     &renderer->triangles,  &renderer->attributes,
                                  &renderer->materials, &renderer->frame_data, &renderer->flats};
    for (int i = 0; i < 6; i++) kn_gpu_buffer_destroy(buffers[i]);
    kn_render_moving_finish(&renderer->moving);
    kn_render_sky_finish(&renderer->sky);
    kn_free(renderer->frame_words);
    renderer->frame_words = NULL;
    kn_scene_release(renderer->scene, renderer->world);
    renderer->world = NULL;
    renderer->built_frame = SIZE_MAX;
}

/* Brings the world around the ego of this frame onto the device, unless it is there. */
static bool enter_window(kn_renderer *renderer, size_t frame, kn_error *error) {
    size_t window = kn_scene_window(renderer->scene, frame);
    if (renderer->world && renderer->window == window) return true;
    leave_window(renderer);
    if (!kn_scene_acquire(renderer->scene, frame, &renderer->world, error)) return false;
    renderer->window = window;
    bool good = kn_render_moving_init(renderer, error);
    renderer->frame_texels = KN_RENDER_HEADER_TEXELS + 3 * KN_RENDER_MAX_LIGHTS + 7 * renderer->part_count +
                             KN_RENDER_SPRAY_TEXELS * KN_RENDER_MAX_SPRAYS;
    good = good && (renderer->frame_words = kn_alloc(renderer->frame_texels, sizeof *renderer->frame_words, error)) &&
           kn_gpu_buffer_create(&renderer->frame_data, renderer->gpu,
                                renderer->frame_texels * sizeof *renderer->frame_words, KN_GPU_MEMORY_HOST, error) &&
           kn_render_upload_static(renderer, error);
    if (!good) leave_window(renderer);
    return good;
}

bool kn_renderer_create(kn_renderer **out, kn_gpu *gpu, const kn_scene *scene, const kn_renderer_params *params,
                        kn_error *error) {
    *out = NULL;
    if (scene->timeline.actor_count == 0 || scene->timeline.frame_count == 0 || !(scene->timeline.frame_rate > 0))
        return kn_fail(error, KN_ERROR_INPUT, "the scene has no ego or no frames");
    kn_renderer *renderer = kn_alloc(1, sizeof *renderer, error);
    if (!renderer) return false;
    renderer->gpu = gpu;
    renderer->scene = scene;
    renderer->params = params ? *params : (kn_renderer_params){0};
    if (renderer->params.beauty_samples <= 0) renderer->params.beauty_samples = 4;
    renderer->params.sky_lift = fmin(fmax(renderer->params.sky_lift, 0), 80);
    renderer->built_frame = SIZE_MAX;
    renderer->weather = *kn_timeline_weather(&scene->timeline, 0);
    renderer->light = kn_light_setup_from_weather(&renderer->weather);
    bool good = enter_window(renderer, 0, error);
    if (!good) kn_renderer_destroy(&renderer);
    *out = renderer;
    return good;
}

void kn_renderer_destroy(kn_renderer **handle) {
    kn_renderer *renderer = handle ? *handle : NULL;
    if (!renderer) return;
    leave_window(renderer);
    kn_free(renderer);
    *handle = NULL;
}

size_t kn_renderer_lights_left_out(const kn_renderer *renderer) { return renderer->lights_left_out; }

bool kn_render(kn_renderer *renderer, const kn_camera *camera, size_t frame, const kn_render_target *target,
               kn_error *error) {
    bool conditions = target->conditions || target->depth || target->semantic || target->instance || target->motion;
    if (frame >= renderer->scene->timeline.frame_count)
        return kn_fail(error, KN_ERROR_INPUT, "frame %zu asked for, the scene has %zu", frame,
                       renderer->scene->timeline.frame_count);
    if (camera->width < 1 || camera->height < 1 || camera->width > MAX_SIZE || camera->height > MAX_SIZE)
        return kn_fail(error, KN_ERROR_INPUT, "camera %.63s: size %dx%d, expected 1..%d", camera->name, camera->width,
                       camera->height, MAX_SIZE);
    int channels = target->noise_channels ? target->noise_channels : 3;
    if (channels < 1 || channels > KN_NOISE_MAX_CHANNELS)
        return kn_fail(error, KN_ERROR_INPUT, "%d channels of noise asked for, expected 1 to %d", channels,
                       KN_NOISE_MAX_CHANNELS);
    if (!enter_window(renderer, frame, error) ||
        !kn_render_upload_frame(renderer, camera, frame, target->noise_seed, error))
        return false;
    bool good = (!conditions || kn_render_conditions_submit(renderer, camera, target, error)) &&
                (!target->noise || submit_noise(renderer, camera, channels, error)) &&
                (!target->beauty || kn_render_beauty_submit(renderer, camera, error));
    good = good && (!conditions || kn_render_conditions_read(renderer, frame, target, error));
    good = good && (!target->noise || (kn_gpu_wait(renderer->noise.recorder, error) &&
                                       kn_render_pass_read(&renderer->noise, 0, channels, target->noise, error)));
    return good && (!target->beauty || (kn_gpu_wait(renderer->beauty.recorder, error) &&
                                        kn_render_pass_read(&renderer->beauty, 0, 3, target->beauty, error)));
}

bool kn_render_lidar(kn_renderer *renderer, const kn_lidar_beams *lidar, size_t frame, kn_echo *echoes,
                     kn_error *error) {
    enum { MOST_BEAMS = 1 << 20 };
    if (frame >= renderer->scene->timeline.frame_count)
        return kn_fail(error, KN_ERROR_INPUT, "frame %zu asked for, the scene has %zu", frame,
                       renderer->scene->timeline.frame_count);
    if (lidar->count < 1 || lidar->count > MOST_BEAMS || !(lidar->reach > 0))
        return kn_fail(error, KN_ERROR_INPUT, "a lidar of %zu beams that reach %g m, expected 1 to %d beams",
                       lidar->count, lidar->reach, MOST_BEAMS);
    return enter_window(renderer, frame, error) && kn_render_lidar_cast(renderer, lidar, frame, echoes, error);
}
