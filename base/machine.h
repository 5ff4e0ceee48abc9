/* The machine that the process runs on. */
#ifndef KN_BASE_MACHINE_H
#define KN_BASE_MACHINE_H

#include <stdint.h>

/* Bytes that this process can still take without swapping: what the machine has available, or less where a limit of its
 * control group (cgroup v2) or of one around it says so. 0 when the machine does not tell. `root` is put before the
 * system's paths: "" outside of tests. Thread-safe. */
uint64_t kn_machine_free_bytes(const char *root);

#endif
