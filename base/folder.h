/* The names in a folder, in the order in which people count: IMG_2 comes before IMG_10. */
#ifndef KN_BASE_FOLDER_H
#define KN_BASE_FOLDER_H

#include "kinora/base.h"

/* Natural order: runs of digits compare as numbers, everything else by bytes; names that differ only in leading zeros
 * by bytes. Like strcmp: below, equal to or above 0. */
int kn_natural_compare(const char *a, const char *b);

/* Does `name` end in one of `extensions` (".png", ".jpg", ..., NULL at the end), upper or lower case? */
bool kn_name_has_extension(const char *name, const char *const *extensions);

/* The names in `folder` (files and folders, without those that begin with a point) that have one of `extensions`; NULL:
 * all. In natural order. A folder without any is no error: *names NULL or empty, *count 0. Free with kn_names_free.
 * Fails with KN_ERROR_INPUT when there is no such folder. Every listing of a folder in Kinora goes through this one. */
bool kn_folder_list(const char *folder, const char *const *extensions, char ***names, size_t *count, kn_error *error);

/* Frees an array of strings from kn_alloc and the strings. */
void kn_names_free(char **names, size_t count);

#endif
