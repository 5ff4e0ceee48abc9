/* Writing: the film is read again, and its frames give way to the painted ones; all else stays as it is. */
#include "pipelines/common/aigc.h"
#include "pipelines/style/light.h"
#include "pipelines/style/protect_job.h"
#include "pipelines/style/reference.h"

#include <string.h>

bool kn_style_writer(kn_film_writer **writer, const kn_style *style, kn_error *error) {
    const kn_style_job *job = style->job;
    kn_film_params params;
    char aigc[KN_AIGC_SIZE];
    if (!kn_film_params_like(&params, &style->info, job->output, error)) return false;
    if (job->codec >= 0 && params.codec != (kn_film_codec)job->codec) {
        params.codec = (kn_film_codec)job->codec;
        params.chroma = 0;
    }
    if (job->depth) params.depth = job->depth;
    if (job->quality > 0) params.quality = job->quality;
    if (style->info.audio_streams > 0) params.sound = job->input;
    kn_aigc_text(style->hash, aigc);
    params.aigc = aigc;
    params.overwrite = job->overwrite;
    params.log = job->log;
    return kn_film_writer_create(writer, job->output, &params, error);
}

/* The next painted frame, from chunk to chunk. */
typedef struct painted {
    const kn_style *style;
    kn_film_reader *reader;
    size_t chunk;
} painted;

static bool next_painted(painted *p, float *picture, kn_error *error) {
    for (;;) {
        bool end = true;
        kn_film_frame frame = {.planes = picture};
        if (p->reader && !kn_film_reader_next(p->reader, &frame, &end, error)) return false;
        if (!end) return true;
        kn_film_reader_destroy(&p->reader);
        char *path = kn_style_chunk_path(p->style, p->chunk++, error);
        bool ok = path && kn_film_reader_create(&p->reader, path, (kn_rational){0, 0}, error);
        kn_free(path);
        if (!ok) return false;
    }
}

static bool write_all(kn_style *style, kn_film_reader *reader, kn_film_writer *writer, kn_error *error) {
    painted p = {.style = style};
    size_t pixels = (size_t)style->info.width * (size_t)style->info.height,
           small = (size_t)style->fit.to_width * (size_t)style->fit.to_height;
    bool ok = true, end = false;
    for (int64_t i = 0; ok; i++) {
        kn_film_frame frame = {.planes = style->planes};
        ok = kn_film_reader_next(reader, &frame, &end, error);
        if (!ok || end) break;
        ok = next_painted(&p, style->painted, error);
        if (ok && style->reference) kn_reference_apply(style, style->painted, small);
        ok = ok && kn_style_fit_out(&style->fit, style->painted, style->seen, error);
        if (ok && style->protected) {
            kn_light_see(style->info.color.transfer, style->planes, pixels, style->protected->source);
            ok = kn_protect_write_frame(style, i, error);
        }
        if (!ok) break;
        kn_light_give(style->info.color.transfer, style->seen, pixels, style->planes);
        ok = kn_film_writer_add(writer, &frame, error) && kn_style_progress(style, "write", i + 1, error);
    }
    kn_film_reader_destroy(&p.reader);
    return ok;
}

bool kn_style_write(kn_style *style, kn_error *error) {
    kn_film_reader *reader = NULL;
    kn_film_writer *writer = NULL;
    bool ok = (!style->reference || kn_reference_learn(style, error)) &&
              (!style->protected || kn_protect_begin_write(style, error)) &&
              kn_film_reader_create(&reader, style->job->input, style->job->rate, error) &&
              kn_style_writer(&writer, style, error) && write_all(style, reader, writer, error) &&
              (!style->protected || kn_protect_report(style, error)) && kn_film_writer_commit(writer, error);
    kn_film_writer_destroy(&writer);
    kn_film_reader_destroy(&reader);
    return ok;
}
