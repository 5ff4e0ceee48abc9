/* Beams of a lidar against the world and the actors of a frame: lidar.comp. */
#include "scene/render/render_internal.h"

#include <string.h>

static bool prepare(kn_renderer *renderer, size_t beams, uint32_t lanes, kn_error *error) {
    struct kn_render_beams *lidar = &renderer->lidar;
    if (lidar->recorder && lidar->beam_count == beams) return true;
    kn_render_lidar_finish(renderer);
    size_t groups = (beams + lanes - 1) / lanes, bytes = groups * lanes * sizeof *lidar->words;
    kn_gpu_slice slices[7];
    bool good = (lidar->words = kn_alloc(groups * lanes, sizeof *lidar->words, error)) &&
                kn_gpu_buffer_create(&lidar->beams, renderer->gpu, bytes, KN_GPU_MEMORY_HOST, error) &&
                kn_gpu_buffer_create(&lidar->echoes, renderer->gpu, bytes, KN_GPU_MEMORY_HOST, error) &&
                kn_gpu_recorder_create(&lidar->recorder, renderer->gpu, error);
    kn_render_scene_slices(renderer, slices);
    slices[5] = (kn_gpu_slice){.buffer = lidar->beams};
    slices[6] = (kn_gpu_slice){.buffer = lidar->echoes};
    kn_gpu_dispatch dispatch = {.kernel = KN_KERNEL_SCENE_LIDAR,
                                .slices = slices,
                                .slice_count = 7,
                                .constants = &lanes,
                                .constant_count = 1,
                                .groups = {(uint32_t)groups, 1, 1}};
    good = good && kn_gpu_record(lidar->recorder, &dispatch, error);
    lidar->beam_count = beams;
    lidar->bytes = bytes;
    if (!good) kn_render_lidar_finish(renderer);
    return good;
}

void kn_render_lidar_finish(kn_renderer *renderer) {
    struct kn_render_beams *lidar = &renderer->lidar;
    kn_gpu_recorder_destroy(&lidar->recorder);
    kn_gpu_buffer_destroy(&lidar->beams);
    kn_gpu_buffer_destroy(&lidar->echoes);
    kn_free(lidar->words);
    *lidar = (struct kn_render_beams){0};
}

static void read_echoes(const kn_renderer *renderer, size_t count, kn_echo *echoes) {
    for (size_t i = 0; i < count; i++) {
        const float *word = renderer->lidar.words[i];
        echoes[i] = (kn_echo){.range = word[0], .cosine = word[1], .instance = (uint16_t)word[3]};
        if (!(word[0] > 0)) continue;
        const kn_material *m = &renderer->world->materials[(size_t)word[2]];
        echoes[i].albedo = .2126f * m->color[0] + .7152f * m->color[1] + .0722f * m->color[2];
        echoes[i].semantic = (uint8_t)m->semantic;
    }
}

bool kn_render_lidar_cast(kn_renderer *renderer, const kn_lidar_beams *lidar, size_t frame, kn_echo *echoes,
                          kn_error *error) {
    kn_camera view = {.name = "LIDAR", .width = 1, .height = 1, .k = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
    memcpy(view.translation, lidar->translation, sizeof view.translation);
    memcpy(view.rotation, lidar->rotation, sizeof view.rotation);
    uint32_t lanes;
    int wide, high;
    kn_render_block(renderer, &lanes, &wide, &high);
    if (!kn_render_upload_frame(renderer, &view, frame, 0, error) || !prepare(renderer, lidar->count, lanes, error))
        return false;
    const kn_timeline *timeline = &renderer->scene->timeline;
    const kn_pose *ego = &timeline->states[frame * timeline->actor_count].pose;
    float(*words)[4] = renderer->lidar.words;
    for (size_t i = 0; i < lidar->count; i++) {
        const float *d = lidar->directions[i];
        double on_ego[3];
        for (int r = 0; r < 3; r++)
            on_ego[r] = lidar->rotation[r][0] * (double)d[0] + lidar->rotation[r][1] * (double)d[1] +
                        lidar->rotation[r][2] * (double)d[2];
        kn_vec3 world = kn_pose_direction(ego, (kn_vec3){on_ego[0], on_ego[1], on_ego[2]});
        words[i][0] = (float)world.x, words[i][1] = (float)world.y, words[i][2] = (float)world.z;
        words[i][3] = (float)lidar->reach;
    }
    memset(words + lidar->count, 0, renderer->lidar.bytes - lidar->count * sizeof *words);
    if (!kn_gpu_upload(renderer->lidar.beams, 0, words, renderer->lidar.bytes, error) ||
        !kn_gpu_submit(renderer->lidar.recorder, error) || !kn_gpu_wait(renderer->lidar.recorder, error) ||
        !kn_gpu_download(renderer->lidar.echoes, 0, words, lidar->count * sizeof *words, error))
        return false;
    read_echoes(renderer, lidar->count, echoes);
    return true;
}
