/* Public ControlNets in a driving clip: which there are, and what they are shown. */
#include "pipelines/drive/drive_internal.h"
#include "pipelines/drive/public_controls.h"

#include <math.h>
#include <string.h>

static const float PUBLIC_GUIDANCE = 7.5f; /* what Stable Diffusion's own samples use */

bool kn_drive_controls_check(const kn_drive_params *p, kn_error *error) {
    if (p->control_count < 0 || p->control_count > KN_MAX_CONTROLS || p->lora_count < 0 || p->lora_count > KN_MAX_LORAS)
        return kn_fail(error, KN_ERROR_INPUT, "%d ControlNets and %d LoRAs, expected at most %d and %d",
                       p->control_count, p->lora_count, KN_MAX_CONTROLS, KN_MAX_LORAS);
    for (int i = 0; i < p->control_count; i++) {
        const kn_drive_control *c = &p->controls[i];
        if (!c->kind || !c->model || !kn_public_control_exists(c->kind))
            return kn_fail(error, KN_ERROR_INPUT, "control '%.60s': expected " KN_PUBLIC_CONTROL_KINDS,
                           c->kind ? c->kind : "");
        if (!isfinite(c->strength))
            return kn_fail(error, KN_ERROR_INPUT, "control '%s': its strength is no finite number", c->kind);
        if (!kn_file_exists(c->model)) return kn_fail(error, KN_ERROR_INPUT, "%s: no such file or folder", c->model);
    }
    if (p->control_count > 0 && p->strength < 1)
        return kn_fail(error, KN_ERROR_INPUT,
                       "a strength below 1 needs the model's own driving capability, not "
                       "public ControlNets");
    return true;
}

void kn_drive_controls_load_params(const kn_drive_job *job, kn_model_params *params) {
    const kn_drive_params *p = &job->params;
    params->log = p->log;
    params->tokenizer = p->tokenizer;
    params->autoencoder = p->autoencoder;
    params->controlnet_count = p->control_count;
    params->lora_count = p->lora_count;
    memcpy(params->loras, p->loras, sizeof params->loras);
    for (int i = 0; i < p->control_count; i++) params->controlnets[i] = p->controls[i].model;
}

static bool check_public(kn_drive_job *job, kn_error *error) {
    const kn_model_info *info = kn_model_get_info(job->model);
    int count = job->params.control_count, first = info->control_count - count;
    for (int i = 0; i < count; i++) {
        const char *name = info->control_names[first + i], *path = job->params.controls[i].model;
        for (int j = 0; j < first + i; j++)
            if (strcmp(info->control_names[j], name) == 0)
                return kn_fail(error, KN_ERROR_INPUT, "%s: another ControlNet is called '%s', too; rename one", path,
                               name);
        if (info->control_channels[first + i] != 3)
            return kn_fail(error, KN_ERROR_INPUT, "%s: takes %d control channels, expected 3", path,
                           info->control_channels[first + i]);
        memcpy(job->control_names[i], name, sizeof job->control_names[i]);
    }
    job->control_channels = 3 * count;
    return true;
}

bool kn_drive_controls_check_model(kn_drive_job *job, kn_error *error) {
    const kn_model_info *info = kn_model_get_info(job->model);
    int drive = -1;
    if (job->params.control_count > 0) return check_public(job, error);
    for (int i = 0; i < info->control_count; i++)
        if (strcmp(info->control_names[i], "drive") == 0) drive = i;
    if (drive < 0)
        return kn_fail(error, KN_ERROR_INPUT,
                       "%s: the model has no driving capability: expected a folder controlnet-drive, or public "
                       "ControlNets by --control-model KIND=PATH",
                       job->params.model);
    job->control_channels = info->control_channels[drive];
    if (job->control_channels != KN_CONDITION_CHANNELS && job->control_channels != KN_CONTROL_CHANNELS)
        return kn_fail(error, KN_ERROR_INPUT, "%s/controlnet-drive: takes %d control channels, expected %d or %d",
                       job->params.model, job->control_channels, KN_CONDITION_CHANNELS, KN_CONTROL_CHANNELS);
    return true;
}

void kn_drive_controls_sampler(const kn_drive_job *job, kn_sampler_params *params) {
    int count = job->params.control_count;
    params->control_count = count > 0 ? count : 1;
    params->controls[0] = (kn_control_params){.name = "drive", .scale = 1};
    for (int i = 0; i < count; i++)
        params->controls[i] =
            (kn_control_params){.name = job->control_names[i], .scale = (float)job->params.controls[i].strength};
    if (count > 0 && job->params.guidance < 0) params->guidance = PUBLIC_GUIDANCE;
}

/* Where the pictures of a control begin. */
static float *pictures_of(const kn_drive_job *job, const kn_drive_chunk *chunk, int control) {
    size_t pictures = job->chunk_frames * (size_t)job->rig.camera_count;
    return chunk->control + (size_t)control * pictures * 3 * job->pixels;
}

void kn_drive_controls_input(const kn_drive_job *job, const kn_drive_chunk *chunk, kn_sample_input *input) {
    input->controls[0] = chunk->control;
    for (int i = 1; i < job->params.control_count; i++) input->controls[i] = pictures_of(job, chunk, i);
}

bool kn_drive_controls_shaded(const kn_drive_job *job) {
    bool shaded = false;
    for (int i = 0; i < job->params.control_count; i++)
        shaded = shaded || kn_public_control_shaded(job->params.controls[i].kind);
    return shaded;
}

bool kn_drive_controls_draw(const kn_drive_job *job, kn_drive_chunk *chunk, size_t picture, const kn_camera *view,
                            const float *conditions, kn_error *error) {
    bool ok = true;
    for (int i = 0; ok && i < job->params.control_count; i++)
        ok = kn_public_control(job->params.controls[i].kind, conditions, view->width, view->height,
                               pictures_of(job, chunk, i) + picture * 3 * job->pixels, error);
    return ok;
}
