/* What `kinora batch --dry-run` prints, and the check of every item's options before anything runs. */
#ifndef KN_CLI_BATCH_DRY_RUN_H
#define KN_CLI_BATCH_DRY_RUN_H

#include "pipelines/batch/plan.h"

/* Has every item's verb read its options; the first that is wrong is KN_ERROR_INPUT with the manifest's line. */
bool kn_batch_check_options(const kn_batch_plan *plan, kn_error *error);

/* Lists the items of a shard (as lines of JSON) and what they will cost. `folder` may be NULL: else what was measured
 * there counts. */
bool kn_batch_dry_run(const kn_batch_plan *plan, size_t shard, size_t shards, const char *folder, bool list,
                      kn_error *error);

#endif
