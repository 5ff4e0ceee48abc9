/* Painting: frames are read, shots found, motion followed, and what the model makes is kept in the work folder. */
#include "pipelines/style/light.h"
#include "pipelines/style/protect_job.h"

#include <math.h>
#include <string.h>

/* --- open ------------------------------------------------------------------------------------- */

static bool load_model(kn_style *style, kn_error *error) {
    const kn_style_job *job = style->job;
    kn_model_params params = job->load;
    params.log = job->log;
    for (int i = 0; i < job->control_count; i++) params.controlnets[params.controlnet_count++] = job->controls[i].model;
    return kn_gpu_create(&style->gpu, &job->gpu, error) &&
           kn_model_load(&style->model, style->gpu, job->model, &params, error);
}

static bool open_clip(kn_style *style, kn_error *error) {
    kn_clip_params clip;
    size_t to = (size_t)style->fit.to_width * (size_t)style->fit.to_height;
    if (!kn_style_clip_params(style, style->fit.to_width, style->fit.to_height, &clip, error)) return false;
    for (int i = 0; i < style->job->control_count; i++)
        if (!(style->controls[i] = kn_alloc(3 * to, sizeof(float), error))) return false;
    return kn_clip_create(&style->clip, style->model, &clip, error) &&
           (style->memory = kn_alloc(kn_clip_memory_floats(style->clip), sizeof(float), error));
}

bool kn_style_open(kn_style *style, kn_error *error) {
    if (!kn_style_find_look(style, error) || !load_model(style, error) || !kn_style_nearest_look(style, error))
        return false;
    int factor = kn_model_get_info(style->model)->latent_factor, multiple = factor > 8 ? factor : 8;
    style->fit = kn_style_fit_of(style->info.width, style->info.height, style->job->height, multiple);
    size_t to = (size_t)style->fit.to_width * (size_t)style->fit.to_height;
    return kn_flow_create(&style->flow, style->fit.to_width, style->fit.to_height, error) &&
           kn_shots_create(&style->shots, style->fit.to_width, style->fit.to_height, 0, error) &&
           (style->picture = kn_alloc(3 * to, sizeof(float), error)) &&
           (style->before = kn_alloc(3 * to, sizeof(float), error)) &&
           (style->motion = kn_alloc(2 * to, sizeof(float), error)) &&
           (style->confident = kn_alloc(to, sizeof(float), error)) &&
           (style->warped = kn_alloc(3 * to, sizeof(float), error)) &&
           (style->painted = kn_alloc(3 * to, sizeof(float), error)) && open_clip(style, error) &&
           (!style->protected || kn_protect_open(style, error));
}

/* --- work folder ------------------------------------------------------------------------------ */

/* Two files in turn: the one that belongs to the last finished chunk is never the one that is being written. */
static char *memory_path(const kn_style *style, size_t chunk, kn_error *error) {
    return kn_format(error, "%s/memory-%zu", style->work, chunk % 2);
}

static bool save_memory(const kn_style *style, size_t chunk, kn_error *error) {
    size_t floats = kn_clip_memory_floats(style->clip);
    char *path = memory_path(style, chunk, error);
    kn_file_writer writer = {0};
    kn_clip_memory_read(style->clip, style->memory);
    bool ok = path && kn_file_writer_init(&writer, path, error);
    if (ok && (fprintf(writer.stream, "%020zu\n", chunk) != 21 ||
               fwrite(style->memory, sizeof(float), floats, writer.stream) != floats))
        ok = kn_fail(error, KN_ERROR_IO, "%s: cannot write", path);
    ok = ok && kn_file_writer_commit(&writer, error);
    kn_file_writer_finish(&writer);
    kn_free(path);
    return ok;
}

static bool load_memory(const kn_style *style, size_t chunk, kn_error *error) {
    size_t size, floats = kn_clip_memory_floats(style->clip) * sizeof(float);
    uint8_t *data = NULL;
    char *path = memory_path(style, chunk, error), head[32];
    bool ok = path && kn_file_read(path, floats + 21, &data, &size, error);
    snprintf(head, sizeof head, "%020zu\n", chunk);
    if (ok && (size != floats + 21 || memcmp(data, head, 21) != 0))
        ok = kn_fail(error, KN_ERROR_INPUT, "%s: is not what chunk %zu left; begin anew with --overwrite", path, chunk);
    if (ok) {
        memcpy(style->memory, data + 21, floats);
        kn_clip_memory_write(style->clip, style->memory);
    }
    kn_free(data);
    kn_free(path);
    return ok;
}

static bool begin_chunk(kn_style *style, size_t chunk, kn_film_writer **writer, kn_error *error) {
    char *path = kn_style_chunk_path(style, chunk, error);
    kn_film_params params = {.width = style->fit.to_width,
                             .height = style->fit.to_height,
                             .channels = 3,
                             .rate = {25, 1},
                             .codec = KN_FILM_FFV1,
                             .depth = 16,
                             .rgb = true,
                             .overwrite = true};
    bool ok = path && kn_film_writer_create(writer, path, &params, error) &&
              (!style->protected || kn_protect_begin_chunk(style, chunk, error));
    kn_free(path);
    return ok;
}

static bool end_chunk(kn_style *style, size_t chunk, kn_film_writer **writer, kn_error *error) {
    char frames[40], crops[40], levels[40];
    const char *names[] = {frames, crops, levels};
    snprintf(frames, sizeof frames, "frames-%06zu.mkv", chunk);
    snprintf(crops, sizeof crops, "details-%06zu.mkv", chunk);
    snprintf(levels, sizeof levels, "details-%06zu", chunk);
    bool ok = kn_film_writer_commit(*writer, error) && save_memory(style, chunk, error) &&
              (!style->protected ||
               (kn_protect_end_chunk(style, chunk, error) && kn_protect_save_memory(style, chunk, error))) &&
              kn_journal_finish_chunk(&style->journal, names, style->protected ? 3 : 1, error);
    kn_film_writer_destroy(writer);
    return ok;
}

/* --- frames ----------------------------------------------------------------------------------- */

/* Brings the frame in style->planes to style->picture; *cut: a shot begins. */
static bool prepare(kn_style *style, bool *cut, kn_error *error) {
    size_t to = (size_t)style->fit.to_width * (size_t)style->fit.to_height,
           from = (size_t)style->info.width * (size_t)style->info.height;
    memcpy(style->before, style->picture, 3 * to * sizeof(float));
    kn_light_see(style->info.color.transfer, style->planes, from, style->seen);
    if (!kn_style_fit_in(&style->fit, style->seen, style->picture, error)) return false;
    *cut = kn_shots_next(style->shots, style->picture);
    style->report.shots += *cut;
    return true;
}

static bool follow(kn_style *style, bool cut, kn_error *error) {
    if (style->job->no_flow) return true;
    if (cut) kn_flow_cut(style->flow);
    if (!kn_flow_next(style->flow, style->picture, style->motion, style->confident, error)) return false;
    if (!cut)
        kn_style_doubt(style->before, style->picture, style->fit.to_width, style->fit.to_height, style->motion,
                       style->warped, style->confident);
    return true;
}

static bool paint_frame(kn_style *style, bool cut, kn_error *error) {
    bool moves = !cut && !style->job->no_flow;
    kn_clip_frame frame = {.picture = style->picture,
                           .motion = moves ? style->motion : NULL,
                           .confident = moves ? style->confident : NULL};
    for (int i = 0; i < style->job->control_count; i++) {
        frame.controls[i] = style->controls[i];
        if (!kn_annotate(style->job->controls[i].kind, style->picture, style->fit.to_width, style->fit.to_height,
                         style->controls[i], error))
            return false;
    }
    return kn_clip_next(style->clip, &frame, style->painted, error);
}

/* A finished frame is read only for cuts, the last one of them also for the motion that begins in it. */
static bool pass_frame(kn_style *style, int64_t frame, int64_t done, kn_film_writer **writer, kn_error *error) {
    bool cut;
    size_t chunk = (size_t)(frame / KN_STYLE_CHUNK);
    if (!prepare(style, &cut, error)) return false;
    if (frame < done) return frame + 1 < done || (kn_flow_cut(style->flow), follow(style, true, error));
    if (frame % KN_STYLE_CHUNK == 0 && !begin_chunk(style, chunk, writer, error)) return false;
    if (!follow(style, cut, error) || !paint_frame(style, cut, error)) return false;
    kn_film_frame out = {.planes = style->painted, .index = frame % KN_STYLE_CHUNK, .time = frame % KN_STYLE_CHUNK};
    if (!kn_film_writer_add(*writer, &out, error) || (style->protected && !kn_protect_paint(style, frame, cut, error)))
        return false;
    return frame % KN_STYLE_CHUNK != KN_STYLE_CHUNK - 1 || end_chunk(style, chunk, writer, error);
}

static bool read_all(kn_style *style, kn_film_reader *reader, int64_t done, kn_film_writer **writer, kn_error *error) {
    bool end = false;
    int64_t frame = 0;
    for (;; frame++) {
        kn_film_frame in = {.planes = style->planes};
        if (!kn_film_reader_next(reader, &in, &end, error)) return false;
        if (end) break;
        if (!pass_frame(style, frame, done, writer, error) || !kn_style_progress(style, "paint", frame + 1, error))
            return false;
    }
    if (frame == 0) return kn_fail(error, KN_ERROR_INPUT, "%s: holds no frame", style->job->input);
    style->report.frames = frame;
    return !*writer || end_chunk(style, (size_t)(frame / KN_STYLE_CHUNK), writer, error);
}

bool kn_style_paint(kn_style *style, kn_error *error) {
    kn_film_reader *reader = NULL;
    kn_film_writer *writer = NULL;
    int64_t done = (int64_t)style->journal.chunks_done * KN_STYLE_CHUNK;
    bool ok =
        done == 0 || (load_memory(style, style->journal.chunks_done - 1, error) &&
                      (!style->protected || kn_protect_load_memory(style, style->journal.chunks_done - 1, error)));
    style->report.resumed_frames = done;
    ok = ok && kn_film_reader_create(&reader, style->job->input, style->job->rate, error) &&
         read_all(style, reader, done, &writer, error);
    kn_film_writer_destroy(&writer);
    kn_film_reader_destroy(&reader);
    return ok;
}
