#include "pipelines/common/mosaic.h"

#include <string.h>

static const char *const surround[6] = {"CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT",
                                        "CAM_BACK_LEFT",  "CAM_BACK",  "CAM_BACK_RIGHT"};

/* The cell of each camera when the rig has exactly nuScenes' six. */
static bool surround_cells(const kn_rig *rig, int cells[KN_RIG_MAX_CAMERAS]) {
    if (rig->camera_count != 6) return false;
    for (int place = 0; place < 6; place++) {
        int found = -1;
        for (int i = 0; i < 6; i++)
            if (strcmp(rig->cameras[i].name, surround[place]) == 0) found = i;
        if (found < 0) return false;
        cells[found] = place;
    }
    return true;
}

void kn_mosaic_init(kn_mosaic *mosaic, const kn_rig *rig) {
    *mosaic = (kn_mosaic){0};
    int cells[KN_RIG_MAX_CAMERAS], columns = 3, cell_width = 0, cell_height = 0;
    if (!surround_cells(rig, cells)) {
        for (columns = 1; columns * columns < rig->camera_count;) columns++;
        for (int i = 0; i < rig->camera_count; i++) cells[i] = i;
    }
    for (int i = 0; i < rig->camera_count; i++) {
        if (rig->cameras[i].width > cell_width) cell_width = rig->cameras[i].width;
        if (rig->cameras[i].height > cell_height) cell_height = rig->cameras[i].height;
    }
    int rows = (rig->camera_count + columns - 1) / columns;
    mosaic->width = (columns * cell_width + 1) & ~1;
    mosaic->height = (rows * cell_height + 1) & ~1;
    for (int i = 0; i < rig->camera_count; i++) {
        mosaic->left[i] = cells[i] % columns * cell_width + (cell_width - rig->cameras[i].width) / 2;
        mosaic->top[i] = cells[i] / columns * cell_height + (cell_height - rig->cameras[i].height) / 2;
    }
}

void kn_mosaic_place(const kn_mosaic *mosaic, kn_image *image, const kn_rig *rig, int index, const uint8_t *rgb) {
    size_t row = 3 * (size_t)rig->cameras[index].width;
    for (int y = 0; y < rig->cameras[index].height; y++) {
        size_t at = (size_t)(mosaic->top[index] + y) * (size_t)image->width + (size_t)mosaic->left[index];
        memcpy(image->data + 3 * at, rgb + row * (size_t)y, row);
    }
}
