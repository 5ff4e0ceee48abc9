/* The contact sheet of an item: a few frames in one small picture, for the index page. */
#ifndef KN_BATCH_SHEET_H
#define KN_BATCH_SHEET_H

#include "base/base.h"

/* Makes <folder>/sheet.jpg of what the verb left there: surround.mp4 and its like, another video, or a picture. Nothing
 * is made, and nothing is wrong, where there is none of them. */
bool kn_sheet_make(const char *folder, kn_error *error);

#endif
