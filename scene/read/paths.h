/* File names as scenarios give them. Internal to scene/. */
#ifndef KN_SCENE_PATHS_H
#define KN_SCENE_PATHS_H

#include "base/base.h"

/* The file or folder that `name` means in `base_file`: relative names lie beside it; "file:" addresses, %-escapes,
 * Windows' backslashes and letters of another case are understood when nothing is there under the name as it stands.
 * The result is kn_free'd; when nothing is found it is the plain name. NULL when memory runs out. */
char *kn_scene_path(const char *base_file, const char *name, kn_error *error);

/* Text without the byte order mark of UTF-8. */
const char *kn_skip_mark(const char *text, size_t *size);

#endif
