/* The files of a design. */
#include "pipelines/design/design_internal.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifndef M_PI
#define M_PI 3.14159265358979323846
#endif

bool kn_design_try(const kn_design_job *job, kn_error *error) {
    if ((job->output_count < 1 && !job->orbit.folder) || job->output_count > KN_DESIGN_MAX_OUTPUTS)
        return kn_fail(error, KN_ERROR_INPUT, "expected 1 to %d outputs", KN_DESIGN_MAX_OUTPUTS);
    for (int i = 0; i < job->output_count; i++) {
        if (!kn_surface_format_known(job->outputs[i]))
            return kn_fail(error, KN_ERROR_INPUT, "%s: expected a name ending in .glb, .obj, .ply, .stl, .3mf or .usdz",
                           job->outputs[i]);
        if (!kn_file_try(job->outputs[i], error)) return false;
    }
    return (!job->report || kn_file_try(job->report, error)) && (!job->sheet || kn_file_try(job->sheet, error));
}

static json_t *drawings(const kn_design *d) {
    json_t *list = json_array();
    for (int i = 0; i < d->job->drawing_count; i++) {
        const kn_drawing *drawing = &d->drawings[i];
        const kn_drawing_view *view = &d->poses[i].view;
        json_array_append_new(list, json_pack("{ss sf sf sb sf sf sf sb sb}", "file", d->job->drawings[i],
                                              "azimuth_deg", view->azimuth * 180 / M_PI, "elevation_deg",
                                              view->elevation * 180 / M_PI, "view_given", d->result->view_given[i],
                                              "silhouette_iou", d->result->agreement[i], "ink_share",
                                              (double)drawing->ink, "paper_evened", (double)drawing->evened, "cut_off",
                                              drawing->cut_off, "open_outline", drawing->open_outline));
    }
    return list;
}

static json_t *strings(const char *const *texts, int count) {
    json_t *list = json_array();
    for (int i = 0; i < count; i++) json_array_append_new(list, json_string(texts[i]));
    return list;
}

static bool write_report(const kn_design *d, const char *path, kn_error *error) {
    const kn_surface_facts *f = &d->result->facts;
    const kn_design_job *job = d->job;
    json_t *root = json_pack("{ss ss sI sf so so so s[fff] sI sI sI sb sb sb sI sf sf sf}", "class", d->kind->name,
                             "prompt", job->prompt ? job->prompt : "", "seed", (json_int_t)job->seed, "pull", job->pull,
                             "drawings", drawings(d), "outputs", strings(job->outputs, job->output_count), "warnings",
                             strings((const char *const *)d->warnings, d->warning_count), "size_m", f->size[0],
                             f->size[1], f->size[2], "triangles", (json_int_t)f->triangles, "vertices",
                             (json_int_t)f->vertices, "components", (json_int_t)f->components, "watertight", f->closed,
                             "manifold", f->manifold, "outward", f->outward, "degenerate", (json_int_t)f->degenerate,
                             "volume_m3", f->volume, "area_m2", f->area, "seconds", d->result->seconds);
    char *text = root ? json_dumps(root, JSON_INDENT(1) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9)) : NULL;
    bool ok = text ? kn_file_write(path, text, strlen(text), error)
                   : kn_fail(error, KN_ERROR_INTERNAL, "%s: the report cannot be written as JSON", path);
    free(text);
    json_decref(root);
    return ok;
}

static char *beside(const kn_design_job *job, const char *given, const char *name, kn_error *error) {
    if (given) return kn_strdup(given, error);
    return job->output_count ? kn_path_beside(job->outputs[0], name, error)
                             : kn_path_join(job->orbit.folder, name, error);
}

static bool write_orbit(const kn_design *d, kn_error *error) {
    kn_orbit_params orbit = d->job->orbit;
    orbit.progress = d->job->progress, orbit.progress_user = d->job->progress_user;
    return !orbit.folder || kn_orbit_write(d->surface, d->materials, d->kind, d->gpu, &orbit, error);
}

bool kn_design_write(const kn_design *d, kn_error *error) {
    const kn_design_job *job = d->job;
    char *report = beside(job, job->report, "report.json", error), *sheet = beside(job, job->sheet, "sheet.png", error);
    bool ok = report && sheet;
    for (int i = 0; ok && i < job->output_count; i++) ok = kn_surface_write(d->surface, job->outputs[i], error);
    ok = ok && write_orbit(d, error) && kn_design_sheet(d, sheet, 1600, error) && write_report(d, report, error);
    kn_free(report), kn_free(sheet);
    return ok;
}
