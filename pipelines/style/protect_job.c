#include "pipelines/style/protect_job.h"

bool kn_protect_create(kn_style *style, kn_error *error) {
    const kn_style_job *job = style->job;
    style->protected = kn_alloc(1, sizeof *style->protected, error);
    return style->protected &&
           kn_protect_read(&style->protected->marks, job->protect, style->info.width, style->info.height, error);
}

void kn_protect_destroy(struct kn_protected **protected) {
    struct kn_protected *p = *protected;
    if (!p) return;
    float *buffers[] = {p->crop, p->motion, p->confident, p->warped, p->painted, p->attempt, p->strip, p->source};
    for (size_t i = 0; i < KN_COUNT(buffers); i++) kn_free(buffers[i]);
    for (size_t i = 0; i < KN_COUNT(p->controls); i++) kn_free(p->controls[i]);
    for (size_t i = 0; i < KN_PROTECT_LEVELS; i++) kn_clip_destroy(&p->clips[i]);
    for (size_t d = 0; d < KN_PROTECT_DETAILS; d++) {
        kn_free(p->rows[d]);
        kn_free(p->results[d]);
        kn_free(p->memories[d]);
        kn_free(p->before[d]);
        kn_flow_destroy(&p->flows[d]);
    }
    for (size_t i = 0; i < KN_PROTECT_WORST; i++) kn_free(p->worst[i].pixels);
    kn_film_writer_destroy(&p->writer);
    kn_film_reader_destroy(&p->reader);
    kn_free(p->cuts);
    kn_free(p->json_path);
    kn_free(p->strip_path);
    kn_protect_finish(&p->marks);
    kn_free(p);
    *protected = NULL;
}
