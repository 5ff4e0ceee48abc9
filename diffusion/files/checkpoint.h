/* A file with one or several networks, whatever its format and naming: its tensors by network under diffusers' names,
 * and the configs that their shapes imply. Internal to diffusion/. Immutable once open. */
#ifndef KN_DIFFUSION_CHECKPOINT_H
#define KN_DIFFUSION_CHECKPOINT_H

#include "diffusion/files/config.h"
#include "diffusion/files/names.h"
#include "diffusion/files/weights.h"

typedef struct kn_part_tensors {
    kn_stored_tensor *tensors; /* sorted by name; data inside the archive */
    size_t count, capacity;
    kn_naming naming;
} kn_part_tensors;

typedef struct kn_checkpoint {
    char *path;
    kn_archive *archives[2]; /* the second: the other half of a TAESD */
    kn_arena arena;
    kn_part_tensors parts[KN_PART_COUNT];
    size_t left_over;                /* tensors of training (EMA, schedules, losses) that are passed over */
    size_t unknown;                  /* tensors that belong to no network */
    char unknown_names[400];         /* the first ones, quoted */
    kn_prediction_choice prediction; /* AUTO: the weights tell */
    bool zero_terminal_snr;
} kn_checkpoint;

/* Whether a tensor is what training leaves in a file (EMA, schedules, losses), or of a tower that generation does not
 * use. */
bool kn_name_is_left_over(const char *name);

/* Opens a file. Fails when it holds no network that Kinora knows, naming what it seems to be. */
bool kn_checkpoint_open(kn_checkpoint **checkpoint, const char *path, kn_error *error);
void kn_checkpoint_close(kn_checkpoint **checkpoint);

bool kn_checkpoint_has(const kn_checkpoint *checkpoint, kn_part part);
const kn_stored_tensor *kn_checkpoint_find(const kn_checkpoint *checkpoint, kn_part part,
                                           const char *name); /* NULL when absent */
/* Adds a part's tensors to `weights`, which must not outlive the checkpoint. */
bool kn_checkpoint_weights(const kn_checkpoint *checkpoint, kn_part part, kn_weights *weights, kn_error *error);

/* What the file holds, for people: "Stable Diffusion 1.x (UNet, autoencoder, text encoder)". */
void kn_checkpoint_describe(const kn_checkpoint *checkpoint, char *text, size_t size);

/* The diffusers config of a part, from the shapes of its tensors (detect.c). Finish with kn_config_finish. */
bool kn_checkpoint_config(const kn_checkpoint *checkpoint, kn_part part, kn_config *config, kn_error *error);
/* scheduler_config.json of a checkpoint with a UNet. */
bool kn_checkpoint_schedule(const kn_checkpoint *checkpoint, kn_config *config, kn_error *error);
/* Whether a UNet of SD2.x structure was trained for v: its weights tell (detect.c). */
bool kn_checkpoint_predicts_v(const kn_checkpoint *checkpoint);
/* "Stable Diffusion XL" and other families that are not built, by a tensor that only they have; NULL: none of them. */
const char *kn_foreign_family(const kn_archive *archive);

#endif
