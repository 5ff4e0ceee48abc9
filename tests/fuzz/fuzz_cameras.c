/* libFuzzer: transforms.json or a sidecar, COLMAP's two texts separated by a NUL, and a JPEG's focal length. */
#include <stdlib.h>
#include <string.h>

#include "mesh/views/mesh.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    kn_view_list list;
    kn_error error = {0};
    char *text = calloc(size + 2, 1);
    if (!text) return 0;
    memcpy(text, data, size);
    if (kn_view_list_parse_transforms(&list, "fuzz", text, size, &error)) kn_view_list_finish(&list);
    if (kn_view_list_parse_colmap(&list, "fuzz", text,
                                  text + strlen(text) + 1 > text + size ? "" : text + strlen(text) + 1, &error))
        kn_view_list_finish(&list);
    kn_exif_parse(data, size, 640, 480);
    free(text);
    return 0;
}
