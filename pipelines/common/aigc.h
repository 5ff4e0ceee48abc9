/* What generated media say about themselves. Internal to pipelines/. */
#ifndef KN_PIPELINES_AIGC_H
#define KN_PIPELINES_AIGC_H

#include "base/base.h"

enum { KN_AIGC_SIZE = 320 };

/* The JSON of the metadata key AIGC (GB 45438-2025, annex E) for what was made by the job with this hash. */
void kn_aigc_text(const char *hash, char text[KN_AIGC_SIZE]);

#endif
