/* One network to be loaded: its config and its tensors, from a folder or a file. Internal to diffusion/. */
#ifndef KN_DIFFUSION_COMPONENT_H
#define KN_DIFFUSION_COMPONENT_H

#include "diffusion/files/checkpoint.h"

typedef struct kn_component {
    char *folder; /* NULL: from a file */
    kn_config config;
    kn_weights *weights;
    kn_checkpoint *file; /* owned; NULL when the tensors come from elsewhere */
} kn_component;

/* Each leaves an empty component after failure. */

/* "<folder>/<config_name>" and, unless it is a schedule or a network without weights, the folder's tensors. */
bool kn_component_open_folder(kn_component *component, const char *folder, const char *config_name, kn_error *error);
/* A part of a checkpoint that outlives the component; KN_PART_COUNT: its schedule. */
bool kn_component_open_part(kn_component *component, const kn_checkpoint *checkpoint, kn_part part, kn_error *error);
/* A folder with config.json and tensors, or a file that holds one of `parts` (the first that is there). */
bool kn_component_open_path(kn_component *component, const char *path, const kn_part *parts, int part_count,
                            kn_error *error);
void kn_component_finish(kn_component *component);

bool kn_is_folder(const char *path);

#endif
