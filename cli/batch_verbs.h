/* The parts of `kinora batch` that have a name of their own; each gets the arguments after it and returns the exit
 * code. */
#ifndef KN_CLI_BATCH_VERBS_H
#define KN_CLI_BATCH_VERBS_H

int kn_batch_merge_command(int argc, char **argv);
int kn_batch_status_command(int argc, char **argv);

#endif
