/* Whole files and folders: hashes, removal. Internal to Kinora. */
#ifndef KN_BASE_TREE_H
#define KN_BASE_TREE_H

#include "base/base.h"

/* SHA-256 of a file's contents. */
bool kn_file_hash(const char *path, char hex[65], kn_error *error);

/* Removes a folder with all that is in it; links are removed, not followed. A folder that is absent is no error. */
bool kn_remove_tree(const char *path, kn_error *error);

#endif
