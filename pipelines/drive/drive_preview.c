/* One picture that says how the job is going: the newest frame of all cameras. */
#include "pipelines/common/mosaic.h"
#include "pipelines/common/pixels.h"
#include "pipelines/drive/drive_internal.h"

bool kn_drive_preview(const kn_drive_job *job, const kn_image *mosaic, kn_error *error) {
    char *path = kn_path_join(job->params.output, "preview.jpg", error);
    bool ok = path && kn_jpeg_write(path, mosaic->data, mosaic->width, mosaic->height, 3, error);
    kn_free(path);
    return ok;
}

bool kn_drive_preview_control(const kn_drive_job *job, const float *control, kn_error *error) {
    kn_mosaic mosaic;
    kn_image image = {0};
    size_t channels = job->params.control_count > 0 ? 3 : (size_t)job->control_channels;
    kn_mosaic_init(&mosaic, &job->rig);
    uint8_t *rgb = kn_alloc(job->pixels, 3, error);
    bool ok = rgb && kn_image_init(&image, mosaic.width, mosaic.height, 3, error);
    for (int c = 0; ok && c < job->rig.camera_count; c++) {
        /* All kinds of maps begin with three channels of colour. */
        size_t pixels = (size_t)job->rig.cameras[c].width * (size_t)job->rig.cameras[c].height;
        const float *maps = control + (size_t)c * channels * job->pixels;
        kn_pixels_interleave(maps, pixels, rgb);
        kn_mosaic_place(&mosaic, &image, &job->rig, c, rgb);
    }
    ok = ok && kn_drive_preview(job, &image, error);
    kn_image_finish(&image);
    kn_free(rgb);
    return ok;
}
