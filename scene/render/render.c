/* The renderer's life, its passes and kn_render. */
#include "scene/render/render_internal.h"

#include <math.h>
#include <string.h>

/* Planes of the control pass behind the control channels. */
enum {
    PLANE_DEPTH = KN_CONTROL_CHANNELS,
    PLANE_SEMANTIC,
    PLANE_INSTANCE,
    PLANE_MOTION,
    PLANE_KEY = PLANE_MOTION + 2,
    PLANES
};
enum { MAX_SIZE = 16384 };

/* --- control and noise ------------------------------------------------------------------------ */

/* A pass of a failed recording must not be taken for a good one. */
static bool drop_pass(kn_render_pass *pass) {
    kn_render_pass_finish(pass);
    return false;
}

static bool record_control(kn_renderer *renderer, kn_error *error) {
    kn_render_pass *pass = &renderer->control;
    size_t pixels = (size_t)pass->width * (size_t)pass->height;
    if (!kn_gpu_buffer_create(&pass->list, renderer->gpu, KN_GPU_ALIGN + pixels * sizeof(uint32_t),
                              KN_GPU_MEMORY_DEVICE, error) ||
        !kn_gpu_buffer_create(&pass->spots, renderer->gpu, pixels * 5 * 4 * sizeof(float), KN_GPU_MEMORY_DEVICE, error))
        return false;
    kn_gpu_slice counter = {.buffer = pass->list, .size = KN_GPU_ALIGN};
    return kn_gpu_record_fill(pass->recorder, counter, 0, error) &&
           kn_render_pass_record(renderer, pass, KN_KERNEL_SCENE_CONTROL, false, error) &&
           kn_render_pass_record(renderer, pass, KN_KERNEL_SCENE_EDGE, false, error) &&
           kn_render_pass_record(renderer, pass, KN_KERNEL_SCENE_ANTIALIAS, true, error) &&
           (!pass->rain ||
            kn_render_rain_record(renderer, pass, pass->output, PLANE_DEPTH * (uint32_t)pixels, 1, false, error));
}

static bool submit_control(kn_renderer *renderer, const kn_camera *camera, kn_error *error) {
    bool fresh, rain = kn_render_rains(renderer);
    if (renderer->control.rain != rain) kn_render_pass_finish(&renderer->control);
    if (!kn_render_pass_prepare(renderer, &renderer->control, camera->width, camera->height, PLANES, &fresh, error))
        return false;
    renderer->control.rain = rain;
    if (fresh && !record_control(renderer, error)) return drop_pass(&renderer->control);
    return kn_gpu_submit(renderer->control.recorder, error);
}

static bool submit_noise(kn_renderer *renderer, const kn_camera *camera, int channels, kn_error *error) {
    kn_render_pass *pass = &renderer->noise;
    bool fresh;
    if (!kn_render_pass_prepare(renderer, pass, camera->width, camera->height, channels, &fresh, error)) return false;
    if (fresh && !kn_render_pass_record(renderer, pass, KN_KERNEL_SCENE_NOISE, false, error)) return drop_pass(pass);
    return kn_gpu_submit(pass->recorder, error);
}

/* One plane of numbers as integers. */
static bool read_labels(kn_render_pass *pass, int plane, uint8_t *bytes, uint16_t *words, kn_error *error) {
    size_t count = (size_t)pass->width * (size_t)pass->height;
    float *values = kn_alloc(count, sizeof *values, error);
    bool good = values && kn_render_pass_read(pass, plane, 1, values, error);
    for (size_t i = 0; good && i < count; i++) {
        if (bytes) bytes[i] = (uint8_t)values[i];
        else words[i] = (uint16_t)values[i];
    }
    kn_free(values);
    return good;
}

static bool read_control(kn_renderer *renderer, size_t frame, const kn_render_target *target, kn_error *error) {
    kn_render_pass *pass = &renderer->control;
    size_t pixels = (size_t)pass->width * (size_t)pass->height;
    if ((target->control && !kn_render_pass_read(pass, 0, KN_CONTROL_CHANNELS, target->control, error)) ||
        (target->depth && !kn_render_pass_read(pass, PLANE_DEPTH, 1, target->depth, error)) ||
        (target->semantic && !read_labels(pass, PLANE_SEMANTIC, target->semantic, NULL, error)) ||
        (target->instance && !read_labels(pass, PLANE_INSTANCE, NULL, target->instance, error)))
        return false;
    if (target->motion && frame == 0) memset(target->motion, 0, 2 * pixels * sizeof *target->motion);
    else if (target->motion) return kn_render_pass_read(pass, PLANE_MOTION, 2, target->motion, error);
    return true;
}

/* --- public ----------------------------------------------------------------------------------- */

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
    renderer->built_frame = SIZE_MAX;
    renderer->weather = *kn_timeline_weather(&scene->timeline, 0);
    renderer->light = kn_light_setup_from_weather(&renderer->weather);
    bool good = kn_render_moving_init(renderer, error);
    renderer->frame_texels = KN_RENDER_HEADER_TEXELS + 3 * KN_RENDER_MAX_LIGHTS + 7 * renderer->part_count +
                             KN_RENDER_SPRAY_TEXELS * KN_RENDER_MAX_SPRAYS;
    good = good && (renderer->frame_words = kn_alloc(renderer->frame_texels, sizeof *renderer->frame_words, error)) &&
           kn_gpu_buffer_create(&renderer->frame_data, gpu, renderer->frame_texels * sizeof *renderer->frame_words,
                                KN_GPU_MEMORY_HOST, error) &&
           kn_render_upload_static(renderer, error);
    if (!good) kn_renderer_destroy(&renderer);
    *out = renderer;
    return good;
}

void kn_renderer_destroy(kn_renderer **handle) {
    kn_renderer *renderer = handle ? *handle : NULL;
    if (!renderer) return;
    kn_render_beauty_finish(renderer);
    kn_render_pass_finish(&renderer->control);
    kn_render_pass_finish(&renderer->noise);
    kn_render_pass_finish(&renderer->beauty);
    kn_gpu_buffer *buffers[5] = {renderer->nodes, renderer->triangles, renderer->attributes, renderer->materials,
                                 renderer->frame_data};
    for (int i = 0; i < 5; i++) kn_gpu_buffer_destroy(&buffers[i]);
    kn_render_moving_finish(&renderer->moving);
    kn_free(renderer->frame_words);
    kn_free(renderer);
    *handle = NULL;
}

bool kn_render(kn_renderer *renderer, const kn_camera *camera, size_t frame, const kn_render_target *target,
               kn_error *error) {
    bool control = target->control || target->depth || target->semantic || target->instance || target->motion;
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
    if (!kn_render_upload_frame(renderer, camera, frame, target->noise_seed, error)) return false;
    bool good = (!control || submit_control(renderer, camera, error)) &&
                (!target->noise || submit_noise(renderer, camera, channels, error)) &&
                (!target->beauty || kn_render_beauty_submit(renderer, camera, error));
    good = good && (!control ||
                    (kn_gpu_wait(renderer->control.recorder, error) && read_control(renderer, frame, target, error)));
    good = good && (!target->noise || (kn_gpu_wait(renderer->noise.recorder, error) &&
                                       kn_render_pass_read(&renderer->noise, 0, channels, target->noise, error)));
    return good && (!target->beauty || (kn_gpu_wait(renderer->beauty.recorder, error) &&
                                        kn_render_pass_read(&renderer->beauty, 0, 3, target->beauty, error)));
}
