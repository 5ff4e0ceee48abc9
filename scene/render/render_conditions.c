/* Conditions, depth, labels and motion: conditions.comp and edge.comp; shade.comp, antialias.comp and rain when shaded
 * colours are wanted. */
#include "scene/render/render_internal.h"

#include <string.h>

/* Planes of the pass behind the conditions. */
enum {
    PLANE_DEPTH = KN_CONDITION_CHANNELS,
    PLANE_SEMANTIC,
    PLANE_INSTANCE,
    PLANE_MOTION,
    PLANE_KEY = PLANE_MOTION + 2,
    PLANES
};

static bool record_flats(kn_renderer *renderer, kn_gpu_recorder *recorder, kn_error *error) {
    uint32_t lanes = kn_gpu_get_info(renderer->gpu)->subgroup_size, count = (uint32_t)renderer->world->material_count;
    const struct {
        uint32_t count;
        float footprint;
    } push = {count, 1000}; /* far away textures show their mean */
    kn_gpu_slice slices[6];
    kn_render_scene_slices(renderer, slices);
    slices[5] = (kn_gpu_slice){.buffer = renderer->flats};
    const kn_gpu_dispatch dispatch = {.kernel = KN_KERNEL_SCENE_FLAT,
                                      .slices = slices,
                                      .slice_count = 6,
                                      .constants = &lanes,
                                      .constant_count = 1,
                                      .groups = {(count + lanes - 1) / lanes, 1, 1},
                                      .push = &push,
                                      .push_size = sizeof push};
    return kn_gpu_record(recorder, &dispatch, error) && kn_gpu_submit(recorder, error) && kn_gpu_wait(recorder, error);
}

/* Flat colours and classes of all materials, once. */
static bool make_flats(kn_renderer *renderer, kn_error *error) {
    kn_gpu_recorder *recorder = NULL;
    if (renderer->flats) return true;
    size_t bytes = (renderer->world->material_count + 1) * 4 * sizeof(float);
    bool good = kn_gpu_buffer_create(&renderer->flats, renderer->gpu, bytes, KN_GPU_MEMORY_DEVICE, error) &&
                kn_gpu_recorder_create(&recorder, renderer->gpu, error) &&
                (renderer->world->material_count == 0 || record_flats(renderer, recorder, error));
    kn_gpu_recorder_destroy(&recorder);
    if (!good) kn_gpu_buffer_destroy(&renderer->flats);
    return good;
}

static bool record_conditions(kn_renderer *renderer, kn_error *error) {
    kn_render_pass *pass = &renderer->conditions;
    size_t pixels = (size_t)pass->width * (size_t)pass->height, kept = pass->shaded ? pixels : 1;
    if (!kn_gpu_buffer_create(&pass->list, renderer->gpu, KN_GPU_ALIGN + kept * sizeof(uint32_t), KN_GPU_MEMORY_DEVICE,
                              error) ||
        !kn_gpu_buffer_create(&pass->spots, renderer->gpu, kept * 5 * 4 * sizeof(float), KN_GPU_MEMORY_DEVICE, error))
        return false;
    kn_gpu_slice counter = {.buffer = pass->list, .size = KN_GPU_ALIGN};
    if (!kn_render_pass_record(renderer, pass, KN_KERNEL_SCENE_CONDITIONS, false, error)) return false;
    if (!pass->shaded) return kn_render_pass_record(renderer, pass, KN_KERNEL_SCENE_EDGE, false, error);
    return kn_gpu_record_fill(pass->recorder, counter, 0, error) &&
           kn_render_pass_record(renderer, pass, KN_KERNEL_SCENE_SHADE, false, error) &&
           kn_render_pass_record(renderer, pass, KN_KERNEL_SCENE_EDGE, false, error) &&
           kn_render_pass_record(renderer, pass, KN_KERNEL_SCENE_ANTIALIAS, true, error) &&
           (!pass->rain || kn_render_rain_record(renderer, pass, KN_CONDITION_SHADED, pass->output,
                                                 PLANE_DEPTH * (uint32_t)pixels, 1, false, error));
}

bool kn_render_conditions_submit(kn_renderer *renderer, const kn_camera *camera, const kn_render_target *target,
                                 kn_error *error) {
    kn_render_pass *pass = &renderer->conditions;
    bool fresh, shaded = target->conditions && target->shaded, rain = shaded && kn_render_rains(renderer);
    if (pass->shaded != shaded || pass->rain != rain) kn_render_pass_finish(pass);
    if (!make_flats(renderer, error) ||
        !kn_render_pass_prepare(renderer, pass, camera->width, camera->height, PLANES, &fresh, error))
        return false;
    pass->shaded = shaded;
    pass->rain = rain;
    if (fresh && !record_conditions(renderer, error)) return kn_render_pass_drop(pass);
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

bool kn_render_conditions_read(kn_renderer *renderer, size_t frame, const kn_render_target *target, kn_error *error) {
    kn_render_pass *pass = &renderer->conditions;
    size_t pixels = (size_t)pass->width * (size_t)pass->height;
    int channels = pass->shaded ? KN_CONDITION_CHANNELS : KN_CONDITION_SHADED;
    if (!kn_gpu_wait(pass->recorder, error) ||
        (target->conditions && !kn_render_pass_read(pass, 0, channels, target->conditions, error)) ||
        (target->depth && !kn_render_pass_read(pass, PLANE_DEPTH, 1, target->depth, error)) ||
        (target->semantic && !read_labels(pass, PLANE_SEMANTIC, target->semantic, NULL, error)) ||
        (target->instance && !read_labels(pass, PLANE_INSTANCE, NULL, target->instance, error)))
        return false;
    if (target->conditions && !pass->shaded)
        memset(target->conditions + KN_CONDITION_SHADED * pixels, 0, 3 * pixels * sizeof *target->conditions);
    if (target->motion && frame == 0) memset(target->motion, 0, 2 * pixels * sizeof *target->motion);
    else if (target->motion) return kn_render_pass_read(pass, PLANE_MOTION, 2, target->motion, error);
    return true;
}

void kn_control_from_conditions(const float *conditions, size_t pixels, float *control) {
    static const int classes[4][7] = {
        /* of each sum, then -1 */
        {KN_CLASS_ROAD, KN_CLASS_MARKING, -1},
        {KN_CLASS_TERRAIN, KN_CLASS_VEGETATION, -1},
        {KN_CLASS_CAR, KN_CLASS_TRUCK, KN_CLASS_PERSON, KN_CLASS_TWO_WHEELER, -1},
        {KN_CLASS_PAVEMENT, KN_CLASS_BUILDING, KN_CLASS_WINDOW, KN_CLASS_POLE, KN_CLASS_OTHER, -1}};
    memcpy(control, conditions + KN_CONDITION_SHADED * pixels, 3 * pixels * sizeof *control);
    memcpy(control + 3 * pixels, conditions + KN_CONDITION_DEPTH * pixels,
           5 * pixels * sizeof *control); /* to the edges */
    memcpy(control + 12 * pixels, conditions + KN_CONDITION_LAMP * pixels,
           4 * pixels * sizeof *control); /* lamps and wetness */
    for (size_t sum = 0; sum < 4; sum++) {
        float *out = control + (8 + sum) * pixels;
        memset(out, 0, pixels * sizeof *out);
        for (const int *c = classes[sum]; *c >= 0; c++)
            for (size_t i = 0; i < pixels; i++) out[i] += conditions[(size_t)(KN_CONDITION_CLASS + *c) * pixels + i];
    }
}
