/* The focal length that a camera wrote into its JPEG. */
#include "base/orient.h"
#include "mesh/sfm/sfm.h"

double kn_exif_parse(const uint8_t *data, size_t size, int width, int height) {
    /* A 36 mm wide picture, so the diagonal is 43.27 mm; it is the same for a picture that lies on its side. */
    return kn_exif_read(data, size).focal_35mm / 43.2666 * hypot(width, height);
}

double kn_exif_focal(const char *path, int width, int height) {
    uint8_t head[65536];
    FILE *file = fopen(path, "rb");
    if (!file) return 0;
    size_t size = fread(head, 1, sizeof head, file);
    fclose(file);
    return kn_exif_parse(head, size, width, height);
}
