/* The beauty picture: beauty.comp into linear radiance, then resolve, glow and film curve
 * (shaders/scene/beauty*.comp). */
#include "scene/render/render_internal.h"

#include <math.h>
#include <string.h>

/* Work buffers for one picture size. */
typedef struct kn_render_beauty {
    kn_gpu_buffer *radiance;                      /* [h][w][3] vec4 */
    kn_gpu_buffer *linear;                        /* [h][w] vec4 */
    kn_gpu_buffer *bright, *half, *narrow, *wide; /* [ceil(h/4)][ceil(w/4)] vec4; half: blurred in one direction */
} kn_render_beauty;

static void beauty_free_buffers(kn_render_beauty *work) {
    kn_gpu_buffer **const buffers[] = {&work->radiance, &work->linear, &work->bright,
                                       &work->half,     &work->narrow, &work->wide};
    for (size_t i = 0; i < KN_COUNT(buffers); i++) kn_gpu_buffer_destroy(buffers[i]);
}

void kn_render_beauty_finish(kn_renderer *renderer) {
    if (renderer->beauty_work) beauty_free_buffers(renderer->beauty_work);
    kn_free(renderer->beauty_work);
    renderer->beauty_work = NULL;
}

static bool beauty_make_buffers(kn_renderer *renderer, int width, int height, kn_error *error) {
    if (!renderer->beauty_work && !(renderer->beauty_work = kn_alloc(1, sizeof *renderer->beauty_work, error)))
        return false;
    kn_render_beauty *work = renderer->beauty_work;
    beauty_free_buffers(work);
    size_t pixels = (size_t)width * (size_t)height * 16,
           small = (size_t)((width + 3) / 4) * (size_t)((height + 3) / 4) * 16;
    const struct {
        kn_gpu_buffer **buffer;
        size_t size;
    } wanted[] = {{&work->radiance, pixels * 3}, {&work->linear, pixels}, {&work->bright, small},
                  {&work->half, small},          {&work->narrow, small},  {&work->wide, small}};
    for (size_t i = 0; i < KN_COUNT(wanted); i++)
        if (!kn_gpu_buffer_create(wanted[i].buffer, renderer->gpu, wanted[i].size, KN_GPU_MEMORY_DEVICE, error))
            return false;
    return true;
}

/* Records a post kernel that works on rows: `width` x `height` invocations. */
static bool beauty_record_post(kn_renderer *renderer, kn_kernel kernel, const kn_gpu_slice *slices,
                               uint32_t slice_count, int width, int height, const void *push, uint32_t push_size,
                               kn_error *error) {
    uint32_t lanes = kn_gpu_get_info(renderer->gpu)->subgroup_size;
    const kn_gpu_dispatch dispatch = {.kernel = kernel,
                                      .groups = {((uint32_t)width + lanes - 1) / lanes, (uint32_t)height, 1},
                                      .slices = slices,
                                      .slice_count = slice_count,
                                      .constants = &lanes,
                                      .constant_count = 1,
                                      .push = push,
                                      .push_size = push_size};
    return kn_gpu_record(renderer->beauty.recorder, &dispatch, error);
}

static kn_gpu_slice beauty_slice(kn_gpu_buffer *buffer) {
    return (kn_gpu_slice){.buffer = buffer, .format = KN_GPU_FORMAT_RGBA32F};
}

/* Blurs `bright` into `target` with this standard deviation, in pixels of the small picture. */
static bool beauty_record_blur(kn_renderer *renderer, kn_gpu_buffer *target, int width, int height, float sigma,
                               kn_error *error) {
    kn_render_beauty *work = renderer->beauty_work;
    struct {
        int32_t size[2], step[2];
        float sigma;
    } push = {{width, height}, {1, 0}, sigma};
    const kn_gpu_slice across[] = {beauty_slice(work->bright), beauty_slice(work->half)};
    const kn_gpu_slice along[] = {beauty_slice(work->half), beauty_slice(target)};
    if (!beauty_record_post(renderer, KN_KERNEL_SCENE_BEAUTY_BLUR, across, 2, width, height, &push, sizeof push, error))
        return false;
    push.step[0] = 0;
    push.step[1] = 1;
    return beauty_record_post(renderer, KN_KERNEL_SCENE_BEAUTY_BLUR, along, 2, width, height, &push, sizeof push,
                              error);
}

static bool beauty_record_scene(kn_renderer *renderer, int width, int height, kn_error *error) {
    kn_gpu_slice slices[6];
    uint32_t constants[2];
    int wide, high;
    kn_render_scene_slices(renderer, slices);
    slices[5] = beauty_slice(renderer->beauty_work->radiance);
    kn_render_block(renderer, &constants[0], &wide, &high);
    constants[1] = (uint32_t)(renderer->params.beauty_samples > 0 ? renderer->params.beauty_samples : 4);
    const kn_gpu_dispatch dispatch = {
        .kernel = KN_KERNEL_SCENE_BEAUTY,
        .groups = {(uint32_t)((width + wide - 1) / wide), (uint32_t)((height + high - 1) / high), 1},
        .slices = slices,
        .slice_count = 6,
        .constants = constants,
        .constant_count = 2};
    return kn_gpu_record(renderer->beauty.recorder, &dispatch, error);
}

static bool beauty_record(kn_renderer *renderer, int width, int height, kn_error *error) {
    kn_render_beauty *work = renderer->beauty_work;
    const kn_weather *weather = &renderer->weather;
    int small_width = (width + 3) / 4, small_height = (height + 3) / 4;
    float haze = fminf(renderer->light.fog_extinction * 40, 1), scale = (float)height / 224;
    const struct {
        int32_t size[2];
        float exposure;
    } resolve_push = {{width, height}, renderer->light.exposure};
    const int32_t sizes[4] = {width, height, small_width, small_height};
    const struct {
        int32_t sizes[4];
        float narrow, wide;
    } tone = {{width, height, small_width, small_height}, 0.35f, 0.22f + 0.3f * haze + 0.15f * (float)weather->rain};
    const kn_gpu_slice resolve[] = {beauty_slice(work->radiance), beauty_slice(work->linear)};
    const kn_gpu_slice bright[] = {beauty_slice(work->linear), beauty_slice(work->bright)};
    const kn_gpu_slice join[] = {beauty_slice(work->linear),
                                 beauty_slice(work->narrow),
                                 beauty_slice(work->wide),
                                 {.buffer = renderer->beauty.output}};
    return beauty_record_scene(renderer, width, height, error) &&
           beauty_record_post(renderer, KN_KERNEL_SCENE_BEAUTY_RESOLVE, resolve, 2, width, height, &resolve_push,
                              sizeof resolve_push, error) &&
           beauty_record_post(renderer, KN_KERNEL_SCENE_BEAUTY_BRIGHT, bright, 2, small_width, small_height, sizes,
                              sizeof sizes, error) &&
           beauty_record_blur(renderer, work->narrow, small_width, small_height, 0.9f * scale, error) &&
           beauty_record_blur(renderer, work->wide, small_width, small_height, 4.5f * scale, error) &&
           beauty_record_post(renderer, KN_KERNEL_SCENE_BEAUTY_TONE, join, 4, width, height, &tone, sizeof tone,
                              error) &&
           (!kn_render_rains(renderer) ||
            kn_render_rain_record(renderer, &renderer->beauty, 0, work->radiance, 7, 12, true, error));
}

bool kn_render_beauty_submit(kn_renderer *renderer, const kn_camera *camera, kn_error *error) {
    bool fresh;
    if (memcmp(&renderer->beauty_weather, &renderer->weather, sizeof renderer->weather))
        kn_render_pass_finish(&renderer->beauty); /* what depends on it was recorded */
    renderer->beauty_weather = renderer->weather;
    if (!kn_render_pass_prepare(renderer, &renderer->beauty, camera->width, camera->height, 3, &fresh, error))
        return false;
    if (fresh && !(beauty_make_buffers(renderer, camera->width, camera->height, error) &&
                   beauty_record(renderer, camera->width, camera->height, error))) {
        kn_render_pass_finish(&renderer->beauty); /* a half-recorded pass must not be replayed */
        return false;
    }
    return kn_gpu_submit(renderer->beauty.recorder, error);
}
