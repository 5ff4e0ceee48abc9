#include "cli/commands.h"

#include "cli/progress.h"

#include <malloc.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void kn_drive_return_memory(void) { mallopt(M_MMAP_THRESHOLD, 256 << 10); }

/* Which weights paint. Returns how many options there are. */
static size_t add_model_options(kn_drive_options *v, kn_option *table) {
    kn_drive_params *p = &v->params;
    const kn_option options[] = {
        {"--model", KN_OPTION_TEXT, &p->model, 0, 0, NULL, "PATH",
         "weights, a folder or file (the shipped kinora-nano)", 0},
        {"--control-model", KN_OPTION_TEXT, &v->repeated, 0, 0, NULL, "KIND=PATH",
         "public ControlNet for a model that cannot drive: depth, seg, normalbae, lineart, softedge, canny, scribble, "
         "tile; several times",
         0},
        {"--control-strength", KN_OPTION_TEXT, &v->repeated, 0, 0, NULL, "F", "of the --control-model before it (1)",
         0},
        {"--lora", KN_OPTION_TEXT, &v->repeated, 0, 0, NULL, "PATH[:F]", "add a LoRA; several times", 0},
        {"--vae", KN_OPTION_TEXT, &p->autoencoder, 0, 0, NULL, "PATH", "another autoencoder", 0},
        {"--tokenizer", KN_OPTION_TEXT, &p->tokenizer, 0, 0, NULL, "DIR", "vocab.json and merges.txt", 0},
    };
    memcpy(table, options, sizeof options);
    return KN_COUNT(options);
}

size_t kn_drive_option_table(kn_drive_options *v, kn_option table[KN_DRIVE_OPTION_CAPACITY]) {
    *v = (kn_drive_options){
        .params = KN_DRIVE_PARAMS_DEFAULT, .weather = -1, .time = -1, .ego_speed_kmh = -1, .default_frames = 24};
    kn_drive_params *p = &v->params;
    const kn_option options[] = {
        {"--output", KN_OPTION_TEXT, &p->output, 0, 0, NULL, "DIR", "folder for the results", 'o'},
        {"--frames", KN_OPTION_TEXT, &v->frames, 0, 0, NULL, "N|all", "length of the clip (24)", 0},
        {"--duration", KN_OPTION_NUMBER, &v->duration, 0.001, 86400, NULL, "SECONDS", "length instead of --frames", 0},
        {"--fps", KN_OPTION_RATE, &p->rate, 0, 0, NULL, "R", "frames per second, also 24000/1001 (12)", 0},
        {"--size", KN_OPTION_SIZE, v->size, 16, 8192, NULL, "WxH", "pixels of each camera (400x224)", 0},
        {"--start", KN_OPTION_NUMBER, &p->overrides.start, 0, 86400, NULL, "SECONDS",
         "scenario time of the first frame (0)", 0},
        {"--seed", KN_OPTION_SEED, &p->seed, 0, 0, NULL, "N", "of surroundings, colours, traffic and noise (0)", 0},
        {"--seeds", KN_OPTION_TEXT, &v->seeds, 0, 0, NULL, "A..B", "appearances of one scene, in folders seed-N", 0},
        {"--weather", KN_OPTION_CHOICE, &v->weather, 0, 0, "clear|overcast|rain|fog", "W", "instead of the scenario's",
         0},
        {"--time", KN_OPTION_CHOICE, &v->time, 0, 0, "day|dusk|night", "T", "instead of the scenario's", 0},
        {"--traffic", KN_OPTION_INT, &p->overrides.traffic, 0, 200, NULL, "N", "0: the ego alone; N: N lawful vehicles",
         0},
        {"--ego-speed", KN_OPTION_NUMBER, &v->ego_speed_kmh, 1, 300, NULL, "KMH", "instead of the scenario's, km/h", 0},
        {"--param", KN_OPTION_TEXT, &p->overrides.parameters, 0, 0, NULL, "NAME=VALUE,...", "of the scenario", 0},
        {"--variation", KN_OPTION_INT, &p->overrides.variation, 0, 1e9, NULL, "K", "of a distribution (0)", 0},
        {"--no-surroundings", KN_OPTION_FLAG, &v->no_surroundings, 0, 0, NULL, NULL, "no buildings, parked cars", 0},
        {"--rig", KN_OPTION_TEXT, &p->rig, 0, 0, NULL, "FILE", "cameras (nuScenes' six)", 0},
        {"--device", KN_OPTION_TEXT, &p->gpu.device, 0, 0, NULL, "D", "number or part of the name (the best)", 0},
        {"--steps", KN_OPTION_INT, &p->steps, 1, 1000, NULL, "N", "denoising steps (the model's: 4 for kinora-nano)",
         0},
        {"--guidance", KN_OPTION_NUMBER, &p->guidance, 0, 100, NULL, "G",
         "classifier-free guidance (1: none; 7.5 with --control-model)", 0},
        {"--strength", KN_OPTION_NUMBER, &p->strength, 0.001, 1, NULL, "S",
         "below 1: the renderer's picture, repainted so far (1: from noise)", 0},
        {"--chunk", KN_OPTION_INT, &p->chunk_frames, 1, 64, NULL, "N", "frames sampled together (8)", 0},
        {"--max-memory", KN_OPTION_INT, &v->max_memory, 1, 1 << 24, NULL, "MIB",
         "device memory of sampling, and of rendering as much again", 0},
        {"--prompt", KN_OPTION_TEXT, &p->prompt, 0, 0, NULL, "TEXT", "instead of the scene's own caption", 0},
        {"--negative", KN_OPTION_TEXT, &p->negative, 0, 0, NULL, "TEXT", "what --guidance leads away from", 0},
        {"--look", KN_OPTION_CHOICE, &v->look, 0, 0, "photo|render", "L", "of the pictures (photo)", 0},
        {"--codec", KN_OPTION_CHOICE, &v->codec, 0, 0, "h264|hevc|prores|ffv1|png", "C", "of the videos", 0},
        {"--labels", KN_OPTION_SET, &v->labels, 0, 0, "depth|semantic|instance|depth_exr", "LIST",
         "images per frame, separated by commas", 0},
        {"--lidar", KN_OPTION_FLAG, &p->lidar, 0, 0, NULL, NULL, "sweeps of a virtual LIDAR_TOP, with classes", 0},
        {"--source", KN_OPTION_CHOICE, &v->source, 0, 0, "sampler|beauty|control", "S", "of the pictures", 0},
        {"--no-anchored-noise", KN_OPTION_FLAG, &p->no_anchored_noise, 0, 0, NULL, NULL,
         "independent noise for every picture", 0},
        {"--no-locked-sampling", KN_OPTION_FLAG, &p->no_locked_sampling, 0, 0, NULL, NULL, "no fusing of surfaces", 0},
        {"--no-multi-view", KN_OPTION_FLAG, &p->no_multi_view, 0, 0, NULL, NULL, "without attention between cameras",
         0},
        {"--no-temporal", KN_OPTION_FLAG, &p->no_temporal, 0, 0, NULL, NULL, "without attention between frames", 0},
        {"--overwrite", KN_OPTION_FLAG, &p->overwrite, 0, 0, NULL, NULL, "replace another job's results", 0},
        {"--progress", KN_OPTION_CHOICE, &v->progress, 0, 0, "auto|json|off", "P",
         "bar on stderr, or JSON lines on stdout", 0},
        {"--quiet", KN_OPTION_FLAG, &v->quiet, 0, 0, NULL, NULL, "errors only", 'q'},
        {"--verbose", KN_OPTION_FLAG, &v->verbose, 0, 0, NULL, NULL, "say more", 'v'},
        {"--validation", KN_OPTION_FLAG, &p->gpu.validation, 0, 0, NULL, NULL, "Vulkan validation layers", 0},
        {"--help", KN_OPTION_FLAG, &v->help, 0, 0, NULL, NULL, "this text", 'h'},
    };
    _Static_assert(KN_COUNT(options) + 6 <= KN_DRIVE_OPTION_CAPACITY, "the table is too small");
    memcpy(table, options, sizeof options);
    return KN_COUNT(options) + add_model_options(v, table + KN_COUNT(options));
}

/* --frames N or all, --duration S, or the verb's own length. */
static bool apply_length(kn_drive_options *v, kn_error *error) {
    kn_drive_params *p = &v->params;
    if (v->frames && v->duration > 0)
        return kn_fail(error, KN_ERROR_INPUT, "--frames and --duration both say how long the clip is: give one");
    p->frames = v->default_frames;
    v->shortened = !v->frames && !(v->duration > 0);
    if (v->duration > 0) p->frames = (size_t)fmin(ceil(v->duration * p->rate.num / p->rate.den - 1e-9), 1e6);
    if (!v->frames) return true;
    char *end;
    unsigned long frames = strtoul(v->frames, &end, 10);
    bool all = strcmp(v->frames, "all") == 0, number = *v->frames >= '0' && *v->frames <= '9' && !*end;
    if (!all && !(number && frames >= 1 && frames <= 1000000))
        return kn_fail(error, KN_ERROR_INPUT, "--frames %s: expected a whole number from 1 to 1000000, or all",
                       v->frames);
    p->frames = all ? 0 : frames;
    return true;
}

/* --seeds A..B, or one number. */
static bool apply_seeds(kn_drive_options *v, kn_error *error) {
    unsigned long long first = 0, last = 0;
    char more = 0;
    if (!v->seeds) return true;
    int found = sscanf(v->seeds, "%9llu..%9llu%c", &first, &last, &more);
    bool digits = strspn(v->seeds, "0123456789.") == strlen(v->seeds);
    if (!digits || found != 2 || first < 1 || last < first || last - first >= 1000)
        return kn_fail(error, KN_ERROR_INPUT,
                       "--seeds %s: expected two numbers from 1 on as in 1..4, at most a thousand of them", v->seeds);
    if (v->params.source != KN_DRIVE_SAMPLER)
        return kn_fail(error, KN_ERROR_INPUT, "--seeds: only the sampler makes several appearances");
    v->seed_range[0] = first;
    v->seed_range[1] = last;
    return true;
}

bool kn_drive_options_apply(kn_drive_options *v, kn_error *error) {
    kn_drive_params *p = &v->params;
    p->source = (kn_drive_source)v->source;
    if (v->repeated)
        return kn_fail(error, KN_ERROR_INPUT, "--control-model, --control-strength and --lora: only for kinora drive");
    if (p->control_count > 0 && !p->model)
        return kn_fail(error, KN_ERROR_INPUT, "--control-model needs the --model that it was trained for");
    if (!apply_length(v, error) || !apply_seeds(v, error)) return false;
    p->width = v->size[0];
    p->height = v->size[1];
    p->codec = (kn_codec)v->codec;
    p->look = (kn_drive_look)v->look;
    p->gpu.memory_limit = (uint64_t)v->max_memory << 20;
    p->gpu.tuning_folder = kn_tuning_folder();
    p->labels = v->labels;
    p->overrides.weather = (kn_weather_override)(v->weather + 1);
    p->overrides.time = (kn_time_override)(v->time + 1);
    p->overrides.ego_speed = v->ego_speed_kmh > 0 ? v->ego_speed_kmh / 3.6 : 0;
    p->overrides.grow_surroundings = !v->no_surroundings;
    if (v->quiet) v->progress = KN_PROGRESS_OFF;
    if (p->source == KN_DRIVE_SAMPLER && !p->model) {
        kn_find_model("kinora-nano", v->model, sizeof v->model);
        if (!v->model[0])
            return kn_fail(error, KN_ERROR_INPUT,
                           "the shipped weights (models/kinora-nano) are missing; name a folder with --model");
        p->model = v->model;
    }
    return true;
}
