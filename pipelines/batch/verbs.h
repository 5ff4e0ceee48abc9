/* The verbs that a batch can run: what is an input, what an output. */
#ifndef KN_BATCH_VERBS_H
#define KN_BATCH_VERBS_H

#include "base/base.h"

typedef struct kn_batch_verb {
    const char *name;
    const char *input;   /* the manifest's key of the argument without an option name; NULL: the verb takes none */
    const char *paths;   /* keys whose values are files or folders that are read, with spaces around each */
    const char *outputs; /* what -o names inside the item's folder by default; "": the folder itself */
    bool has_seed;
    const char *labels; /* value of --labels when the manifest names none, so that merging has what it needs; NULL: no
                           such option */
} kn_batch_verb;

/* NULL when there is no such verb. */
const kn_batch_verb *kn_batch_find_verb(const char *name);
/* "drive, image, mesh" for messages. */
const char *kn_batch_verb_names(void);
/* Is the value of `key` a file or folder that the verb reads? */
bool kn_batch_is_path(const kn_batch_verb *verb, const char *key);

#endif
