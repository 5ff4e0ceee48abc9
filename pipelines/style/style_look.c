/* Looks: names in the model's looks.json with their prompts, or the nearest one to a picture. */
#include "pipelines/style/reference.h"

#include <jansson.h>
#include <string.h>

enum { MOST = 64 };

typedef struct looks {
    json_t *root; /* the texts are its */
    const char *names[MOST], *prompts[MOST];
    double grains[MOST];
    size_t count;
    char known[400]; /* all names */
} looks;

static bool read_looks(looks *l, const char *model, kn_error *error) {
    *l = (looks){.root = NULL};
    char *path = kn_path_join(model, "looks.json", error);
    if (!path) return false;
    json_error_t at;
    l->root = kn_file_exists(path) ? json_load_file(path, 0, &at) : NULL;
    size_t i, used = 0;
    json_t *entry;
    json_array_foreach(json_object_get(l->root, "looks"), i, entry) {
        const char *name = json_string_value(json_object_get(entry, "name")),
                   *prompt = json_string_value(json_object_get(entry, "prompt"));
        const json_t *grain = json_object_get(entry, "grain");
        if (name && used < sizeof l->known)
            used += (size_t)snprintf(l->known + used, sizeof l->known - used, "%s%s", used ? ", " : "", name);
        if (!name || !prompt || l->count == MOST) continue;
        l->names[l->count] = name, l->prompts[l->count] = prompt;
        l->grains[l->count++] = json_is_number(grain) ? json_number_value(grain) : 1;
    }
    kn_free(path);
    return true;
}

static bool take(kn_style *style, const looks *l, size_t which, kn_error *error) {
    style->grain = l->grains[which];
    snprintf(style->report.look, sizeof style->report.look, "%s", l->names[which]);
    return (style->prompt = kn_strdup(l->prompts[which], error)) != NULL;
}

static bool find(kn_style *style, const looks *l, kn_error *error) {
    const kn_style_job *job = style->job;
    for (size_t i = 0; job->look && i < l->count; i++)
        if (strcmp(l->names[i], job->look) == 0) return take(style, l, i, error);
    if (!job->look && l->count > 0) return true; /* the nearest one, once the model is there */
    return kn_fail(error, KN_ERROR_INPUT, "--%s %.200s: %s knows %s", job->look ? "look" : "reference",
                   job->look ? job->look : job->reference, job->model,
                   l->known[0] ? l->known : "no looks; say it with --prompt");
}

bool kn_style_find_look(kn_style *style, kn_error *error) {
    const kn_style_job *job = style->job;
    looks l;
    if (!job->look && (job->clip.prompt || !job->reference))
        return (style->prompt = kn_strdup(job->clip.prompt ? job->clip.prompt : "", error)) != NULL;
    bool ok = read_looks(&l, job->model, error) && find(style, &l, error);
    json_decref(l.root);
    return ok;
}

bool kn_style_nearest_look(kn_style *style, kn_error *error) {
    looks l;
    size_t nearest = 0;
    if (style->prompt) return true;
    bool ok = read_looks(&l, style->job->model, error) &&
              kn_reference_nearest(style, l.prompts, l.grains, l.count, &nearest, error) &&
              take(style, &l, nearest, error);
    json_decref(l.root);
    return ok;
}
