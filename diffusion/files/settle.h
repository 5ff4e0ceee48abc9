/* Internal to diffusion/. */
#ifndef KN_DIFFUSION_SETTLE_H
#define KN_DIFFUSION_SETTLE_H

#include "diffusion/files/tensors.h"

/* Takes what wrappers add to all names ("module.") away, and folds the scales of fp8 weights into them
 * (kn_stored_tensor.scale). `archive` is sorted and stays so. */
bool kn_archive_settle(kn_archive *archive, kn_error *error);

#endif
