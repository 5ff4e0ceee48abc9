/* Reads any bytes as what --protect takes. Masks are not opened. */
#include "pipelines/style/protect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    kn_protect protect;
    kn_error error = {0};
    if (kn_protect_parse(&protect, "fuzz/protect.json", (const char *)data, size, &error)) {
        if (protect.count == 0 || protect.details[0].count == 0) __builtin_trap();
        kn_protect_check_frames(&protect, 10, &error);
        kn_protect_finish(&protect);
    } else if (error.kind == KN_ERROR_NONE || !error.message[0]) {
        __builtin_trap();
    }
    return 0;
}
