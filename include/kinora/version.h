/* Which library a program was compiled for, and which it runs with. */
#ifndef KINORA_VERSION_H
#define KINORA_VERSION_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KN_VERSION_MAJOR 0
#define KN_VERSION_MINOR 1
#define KN_VERSION_PATCH 0
/* One number that grows with the version. */
#define KN_VERSION_NUMBER (KN_VERSION_MAJOR * 1000000 + KN_VERSION_MINOR * 1000 + KN_VERSION_PATCH)

/* KN_VERSION_NUMBER of the library that runs. Thread-safe, like everything here. */
int kn_version_number(void);
/* The same as text, "0.1.0". Static. */
const char *kn_version_text(void);
/* Whether the library that runs can serve a program that was compiled with `number` (give KN_VERSION_NUMBER): the same
 * major version, while that is 0 the same minor version too, and not an older library. */
bool kn_version_serves(int number);

#ifdef __cplusplus
}
#endif
#endif
