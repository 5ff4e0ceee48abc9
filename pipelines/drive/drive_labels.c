#include "pipelines/drive/drive_internal.h"

#include <math.h>

static const char *const kinds[] = {"depth", "semantic", "instance", "depth_exr"};

bool kn_drive_make_label_folders(kn_drive_job *job, kn_error *error) {
    bool ok = true;
    for (size_t k = 0; ok && k < KN_COUNT(kinds); k++)
        for (int c = 0; ok && (job->params.labels >> k & 1) && c < job->rig.camera_count; c++) {
            char *folder = kn_format(error, "%s/labels/%s/%s", job->work, kinds[k], job->rig.cameras[c].name);
            ok = folder && kn_make_directories(folder, error);
            kn_free(folder);
        }
    return ok;
}

/* Millimetres; sky, which has no depth, is 0, and what is farther than 65.535 m is 65535. */
static uint16_t millimetres(float depth) {
    if (!(depth > 0) || isinf(depth)) return 0;
    return depth >= 65.535f ? 65535 : (uint16_t)lrintf(depth * 1000);
}

/* Depth of the sky is infinite: written as 0, as in the PNG. */
static bool write_metres(const char *path, const float *depth, const kn_camera *c, kn_error *error) {
    size_t count = (size_t)c->width * (size_t)c->height;
    float *metres = kn_alloc(count, sizeof *metres, error);
    for (size_t i = 0; metres && i < count; i++) metres[i] = depth[i] > 0 && isfinite(depth[i]) ? depth[i] : 0;
    bool ok = metres && kn_exr_write_gray(path, metres, c->width, c->height, error);
    kn_free(metres);
    return ok;
}

static bool write_label(kn_drive_job *job, int kind, size_t frame, int camera, kn_error *error) {
    const kn_camera *c = &job->rig.cameras[camera];
    kn_drive_scratch *s = &job->scratch;
    char *path =
        kn_format(error, "%s/labels/%s/%s/%05zu.%s", job->work, kinds[kind], c->name, frame, kind == 3 ? "exr" : "png");
    if (!path) return false;
    bool ok;
    if (kind == 3) {
        ok = write_metres(path, s->depth, c, error);
    } else if (kind == 1) {
        ok = kn_png_write_gray8(path, s->semantic, c->width, c->height, error);
    } else {
        size_t count = (size_t)c->width * (size_t)c->height;
        for (size_t i = 0; kind == 0 && i < count; i++) s->label[i] = millimetres(s->depth[i]);
        ok = kn_png_write_gray16(path, kind == 0 ? s->label : s->instance, c->width, c->height, error);
    }
    kn_free(path);
    return ok;
}

bool kn_drive_write_labels(kn_drive_job *job, size_t frame, int camera, kn_error *error) {
    bool ok = true;
    for (int k = 0; ok && k < (int)KN_COUNT(kinds); k++)
        if (job->params.labels >> k & 1) ok = write_label(job, k, frame, camera, error);
    return ok;
}

bool kn_boxes_file_init(kn_boxes_file *file, const char *path, const kn_drive_job *job, kn_error *error) {
    *file = (kn_boxes_file){0};
    if (!kn_file_writer_init(&file->file, path, error)) return false;
    fprintf(file->file.stream,
            "{\"format\": \"kinora-boxes-2d\", \"version\": 1, \"scene\": \"%s\", \"frame_rate\": [%d, %d], "
            "\"frame_count\": %zu,\n\"boxes\": [",
            job->scene_name, job->params.rate.num, job->params.rate.den, job->frame_count);
    return true;
}

void kn_boxes_file_add(kn_boxes_file *file, const kn_drive_job *job, const kn_box_2d *b) {
    FILE *stream = file->file.stream;
    double occlusion = b->box_pixels ? (double)b->occluded_pixels / b->box_pixels : 1;
    fprintf(stream,
            "%s\n{\"frame\": %u, \"camera\": \"%s\", \"instance\": %d, \"category\": \"%s\", \"amodal\": [%.2f, %.2f, "
            "%.2f, %.2f], \"visible\": ",
            file->count++ ? "," : "", b->frame, job->rig.cameras[b->camera].name, b->instance,
            kn_category_name((kn_actor_class)b->kind), b->amodal[0], b->amodal[1], b->amodal[2], b->amodal[3]);
    if (b->visible_pixels)
        fprintf(stream, "[%.0f, %.0f, %.0f, %.0f]", b->visible[0], b->visible[1], b->visible[2], b->visible[3]);
    else fputs("null", stream);
    fprintf(stream, ", \"visible_pixels\": %u, \"occlusion\": %.3f}", b->visible_pixels, occlusion);
}

bool kn_boxes_file_commit(kn_boxes_file *file, kn_error *error) {
    fputs("\n]}\n", file->file.stream);
    return kn_file_writer_commit(&file->file, error);
}
