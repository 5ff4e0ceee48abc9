#include "kinora/version.h"

#define TEXT_OF(x) #x
#define TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

int kn_version_number(void) { return KN_VERSION_NUMBER; }

const char *kn_version_text(void) { return TEXT(KN_VERSION_MAJOR, KN_VERSION_MINOR, KN_VERSION_PATCH); }

bool kn_version_serves(int number) {
    int major = number / 1000000, minor = number / 1000 % 1000;
    return number >= 0 && major == KN_VERSION_MAJOR && number <= KN_VERSION_NUMBER &&
           (major > 0 || minor == KN_VERSION_MINOR);
}
