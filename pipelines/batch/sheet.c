#include "pipelines/batch/sheet.h"

#include "kinora/encoders.h"

#include <string.h>

enum { COLUMNS = 3, ROWS = 2, TILE_WIDTH = 320, MAX_FRAMES = 4096 };

/* Averages the pixels of src that fall into each pixel of a tile of dst at (x0, y0). */
static void shrink(const uint8_t *src, int width, int height, kn_image *dst, int x0, int y0, int tile_width,
                   int tile_height) {
    for (int y = 0; y < tile_height; y++)
        for (int x = 0; x < tile_width; x++) {
            int left = x * width / tile_width, right = (x + 1) * width / tile_width;
            int top = y * height / tile_height, bottom = (y + 1) * height / tile_height;
            if (right <= left) right = left + 1;
            if (bottom <= top) bottom = top + 1;
            uint64_t sum[3] = {0}, count = (uint64_t)(right - left) * (uint64_t)(bottom - top);
            for (int v = top; v < bottom; v++)
                for (int u = left; u < right; u++)
                    for (int c = 0; c < 3; c++) sum[c] += src[((size_t)v * (size_t)width + (size_t)u) * 3 + (size_t)c];
            for (int c = 0; c < 3; c++)
                dst->data[((size_t)(y0 + y) * (size_t)dst->width + (size_t)(x0 + x)) * 3 + (size_t)c] =
                    (uint8_t)((sum[c] + count / 2) / count);
        }
}

static void tile_size(int width, int height, int *tile_width, int *tile_height) {
    *tile_width = width < TILE_WIDTH ? width : TILE_WIDTH;
    *tile_height = (int)((int64_t)height * *tile_width / width);
    if (*tile_height < 1) *tile_height = 1;
    if (*tile_height > 2 * TILE_WIDTH) *tile_height = 2 * TILE_WIDTH;
}

/* How many frames the video has, at most MAX_FRAMES of them looked at. */
static bool count_frames(const char *path, uint8_t **rgb, int *count, kn_error *error) {
    kn_video_reader *reader;
    if (!kn_video_reader_create(&reader, path, (kn_rational){0}, error)) return false;
    const kn_video_info *info = kn_video_reader_info(reader);
    *count = (int)info->frame_count;
    bool ok = (*rgb = kn_alloc((size_t)info->width * (size_t)info->height, 3, error)) != NULL, end = false;
    if (ok && *count <= 0)
        for (*count = 0; ok && *count < MAX_FRAMES; ++*count) {
            ok = kn_video_reader_next(reader, *rgb, NULL, &end, error);
            if (end) break;
        }
    if (*count > MAX_FRAMES) *count = MAX_FRAMES;
    kn_video_reader_destroy(&reader);
    return ok;
}

static bool sheet_of_video(const char *path, kn_image *sheet, kn_error *error) {
    uint8_t *rgb = NULL;
    kn_video_reader *reader = NULL;
    int count = 0, tile_width, tile_height, tile = 0;
    bool ok = count_frames(path, &rgb, &count, error) && kn_video_reader_create(&reader, path, (kn_rational){0}, error),
         end = false;
    if (ok) {
        const kn_video_info *info = kn_video_reader_info(reader);
        int tiles = count < COLUMNS * ROWS ? count < 1 ? 1 : count : COLUMNS * ROWS,
            columns = tiles < COLUMNS ? tiles : COLUMNS;
        tile_size(info->width, info->height, &tile_width, &tile_height);
        ok = kn_image_init(sheet, columns * tile_width, (tiles + columns - 1) / columns * tile_height, 3, error);
        for (int frame = 0; ok && tile < tiles && !end; frame++) {
            ok = kn_video_reader_next(reader, rgb, NULL, &end, error);
            if (!ok || end || frame != tile * count / tiles) continue;
            shrink(rgb, info->width, info->height, sheet, tile % columns * tile_width, tile / columns * tile_height,
                   tile_width, tile_height);
            tile++;
        }
    }
    kn_video_reader_destroy(&reader);
    kn_free(rgb);
    return ok;
}

static bool sheet_of_picture(const char *path, kn_image *sheet, kn_error *error) {
    kn_image picture = {0};
    int width, height;
    if (!kn_image_read(&picture, path, 3, error)) return false;
    tile_size(picture.width, picture.height, &width, &height);
    bool ok = kn_image_init(sheet, width, height, 3, error);
    if (ok) shrink(picture.data, picture.width, picture.height, sheet, 0, 0, width, height);
    kn_image_finish(&picture);
    return ok;
}

bool kn_sheet_make(const char *folder, kn_error *error) {
    static const char *const names[] = {"surround.mp4",  "surround.mov", "surround.mkv", "surround",  "orbit.mp4",
                                        "orbit.mov",     "orbit.mkv",    "style.mp4",    "style.mov", "style.mkv",
                                        "turntable.png", "image.png",    "image-0.png"};
    bool ok = true, made = false;
    for (size_t i = 0; i < KN_COUNT(names) && ok && !made; i++) {
        char *path = kn_path_join(folder, names[i], error),
             *out = path ? kn_path_join(folder, "sheet.jpg", error) : NULL;
        ok = out != NULL;
        if (ok && kn_file_exists(path)) {
            kn_image sheet = {0};
            size_t length = strlen(names[i]);
            bool picture = length > 4 && strcmp(names[i] + length - 4, ".png") == 0;
            made = true;
            ok = (picture ? sheet_of_picture(path, &sheet, error) : sheet_of_video(path, &sheet, error)) &&
                 kn_jpeg_write(out, sheet.data, sheet.width, sheet.height, 5, error);
            kn_image_finish(&sheet);
        }
        kn_free(path);
        kn_free(out);
    }
    return ok;
}
