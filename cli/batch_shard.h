/* Which part of a batch this process runs: from options or from what a cluster puts into the environment. */
#ifndef KN_CLI_BATCH_SHARD_H
#define KN_CLI_BATCH_SHARD_H

#include "base/base.h"

/* `text`: the value of --shard, "3/64" (counted from 1), or NULL; `shards`: the value of --shards, 0 when it is absent.
 * Without --shard the index is that of a Slurm array task, a pod of an Indexed Job or a child of an AWS Batch array,
 * and the number of shards is --shards, or what Slurm and AWS say themselves. *shard counts from 0. */
bool kn_batch_find_shard(const char *text, size_t shards, size_t *shard, size_t *count, kn_error *error);

#endif
