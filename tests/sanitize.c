/* In sanitized builds every test and the command have this in them. Criterion does not count what the leak checker
 * finds when a test's process ends: ctest looks for its report in the output (tests/CMakeLists.txt). */
#include <dlfcn.h>

const char *__lsan_default_suppressions(void);
const char *__lsan_default_options(void);

/* The software driver and the validation layer (1.3.239) leak. They stay loaded, so that what they leaked has a name.
 * libx265 keeps a copy of its parameters that it never frees. */
__attribute__((constructor)) static void keep_loaded(void) {
    dlopen("libvulkan_lvp.so", RTLD_LAZY | RTLD_NODELETE);
    dlopen("libVkLayer_khronos_validation.so", RTLD_LAZY | RTLD_NODELETE);
}

const char *__lsan_default_suppressions(void) {
    return "leak:libVkLayer_khronos_validation\nleak:libvulkan_lvp\nleak:libLLVM\nleak:libx265\n";
}
const char *__lsan_default_options(void) { return "print_suppressions=0"; }
