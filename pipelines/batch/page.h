/* index.html of a batch: every item with its contact sheet, options and measures, with filters. One file, no server, no
 * network. */
#ifndef KN_BATCH_PAGE_H
#define KN_BATCH_PAGE_H

#include "pipelines/batch/store.h"

/* Reads <folder>/results.jsonl and writes <folder>/index.html. */
bool kn_page_write(const kn_store *store, kn_error *error);

#endif
