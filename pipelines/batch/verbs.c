#include "pipelines/batch/verbs.h"

#include <string.h>

static const kn_batch_verb verbs[] = {
    {"drive", "scene", " scene rig model vae tokenizer ", "", true, "depth,semantic,instance"},
    {"image", NULL, " model init mask vae taesd tokenizer control-model ", "image.png", true, NULL},
    {"mesh", "input", " input cameras masks mask depth normals ", "mesh.glb", false, NULL},
};

const kn_batch_verb *kn_batch_find_verb(const char *name) {
    for (size_t i = 0; i < KN_COUNT(verbs); i++)
        if (strcmp(verbs[i].name, name) == 0) return &verbs[i];
    return NULL;
}

const char *kn_batch_verb_names(void) { return "drive, image or mesh"; }

bool kn_batch_is_path(const kn_batch_verb *verb, const char *key) {
    size_t length = strlen(key);
    for (const char *p = verb->paths; (p = strstr(p, key)); p += length)
        if (p > verb->paths && p[-1] == ' ' && p[length] == ' ') return true;
    return false;
}
