/* The windows of a scene's world that are in use; see kn_scene_acquire. Internal to scene/world/. */
#ifndef KN_SCENE_WINDOWS_H
#define KN_SCENE_WINDOWS_H

#include "base/base.h"

typedef struct kn_windows kn_windows;
bool kn_windows_create(kn_windows **windows, kn_error *error);
void kn_windows_destroy(kn_windows **windows);

#endif
