#include "pipelines/dataset/statistics.h"

#include "pipelines/common/canvas.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- counting
 * ------------------------------------------------------------------------------------------------------------ */

static void count(kn_counts *counts, const char *name, size_t more) {
    size_t i = 0;
    while (i < counts->used && strcmp(counts->entries[i].name, name) != 0) i++;
    if (i == counts->used) {
        if (counts->used == KN_COUNT(counts->entries)) i = counts->used - 1; /* the last one stands for all others */
        else
            snprintf(counts->entries[counts->used++].name, sizeof counts->entries[0].name, "%.63s",
                     i == KN_COUNT(counts->entries) - 1 ? "others" : name);
    }
    counts->entries[i].count += more;
}

static size_t bin(double value, double width, size_t bins) {
    if (!(value > 0)) return 0;
    return value / width >= (double)bins ? bins - 1 : (size_t)(value / width);
}

static const char *text_or(const json_t *value, const char *otherwise) {
    const char *text = json_string_value(value);
    return text ? text : otherwise;
}

void kn_statistics_add(kn_statistics *s, const kn_clip *clip, kn_split split) {
    const json_t *overrides = json_object_get(clip->job, "overrides");
    const char *scene = text_or(json_object_get(json_object_get(clip->job, "scene"), "path"), "?"),
               *slash = strrchr(scene, '/');
    const char *model = text_or(json_object_get(json_object_get(clip->job, "sampler"), "model"),
                                "none: pictures of the renderer"),
               *end = strrchr(model, '/');
    s->clips[split]++;
    s->pictures += clip->frame_count * (size_t)clip->rig.camera_count;
    s->seconds += (double)clip->frame_count / clip->rate;
    s->annotations += clip->annotation_count;
    count(&s->weather, text_or(json_object_get(overrides, "weather"), "as in the scenario"), 1);
    count(&s->time, text_or(json_object_get(overrides, "time"), "as in the scenario"), 1);
    count(&s->source, text_or(json_object_get(clip->job, "source"), "?"), 1);
    count(&s->scenes, slash ? slash + 1 : scene, 1);
    count(&s->models, end ? end + 1 : model, 1);
    for (size_t i = 0; i < clip->annotation_count; i++) {
        const kn_clip_annotation *a = &clip->annotations[i];
        s->lidar_points += a->lidar_points > 0 ? (size_t)a->lidar_points : 0;
        if (a->category >= 0)
            s->by_category[a->category]++, s->by_distance[a->category][bin(a->distance, 10, KN_DISTANCE_BINS)]++;
        if (!isnan(a->speed)) s->by_speed[bin(a->speed, 3, KN_SPEED_BINS)]++;
    }
    for (size_t i = 0; i < clip->box_count; i++)
        if (clip->boxes[i].visible_pixels > 0)
            s->boxes++, s->by_occlusion[bin(clip->boxes[i].occlusion, .1, KN_OCCLUSION_BINS)]++;
    for (size_t f = 0; f < clip->frame_count; f++) {
        s->key_frames += clip->is_key[f];
        if (f > 0 && clip->is_key[f])
            s->by_ego_speed[bin(kn_vec3_length(kn_vec3_sub(clip->ego[f].translation, clip->ego[f - 1].translation)) *
                                    clip->rate,
                                3, KN_SPEED_BINS)]++;
    }
}

/* --- plots
 * ----------------------------------------------------------------------------------------------------------------- */

enum { WIDTH = 640, HEIGHT = 320, LEFT = 60, BOTTOM = 50, TOP = 34 };

static const kn_canvas_color ink = {40, 40, 40, 1}, pale = {225, 225, 225, 1}, blue = {52, 101, 164, 1};

static void bar(kn_image *image, double x, double width, double share, kn_canvas_color color) {
    double top = HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP);
    const double corners[4][2] = {{x, HEIGHT - BOTTOM}, {x + width, HEIGHT - BOTTOM}, {x + width, top}, {x, top}};
    if (share > 0) kn_canvas_polygon(image, corners, 4, color);
}

/* Bars with a name under each; the heights are counts. */
static bool write_plot(const char *root, const char *name, const char *title, const char *const *names,
                       const size_t *counts, size_t bars, kn_error *error) {
    kn_image image = {0};
    char *path = kn_format(error, "%s/plots/%s.png", root, name), text[40];
    size_t most = 1;
    if (!path || !kn_image_init(&image, WIDTH, HEIGHT, 3, error)) {
        kn_free(path);
        return false;
    }
    for (size_t i = 0; i < bars; i++) most = kn_max_size(most, counts[i]);
    kn_canvas_clear(&image, (kn_canvas_color){255, 255, 255, 1});
    kn_canvas_text(&image, LEFT, 10, 2, title, ink);
    for (int line = 0; line <= 4; line++) {
        double y = HEIGHT - BOTTOM - line * .25 * (HEIGHT - BOTTOM - TOP);
        kn_canvas_line(&image, LEFT, y, WIDTH - 10, y, 1, line ? pale : ink);
        snprintf(text, sizeof text, "%.4g", (double)most * line / 4);
        kn_canvas_text(&image, 6, (int)y - 4, 1, text, ink);
    }
    double step = (double)(WIDTH - LEFT - 10) / (double)(bars ? bars : 1);
    for (size_t i = 0; i < bars; i++) {
        bar(&image, LEFT + step * ((double)i + .1), step * .8, (double)counts[i] / (double)most, blue);
        kn_canvas_text(&image, (int)(LEFT + step * ((double)i + .1)),
                       HEIGHT - BOTTOM + 8 + (bars > 6 ? (int)(i % 2) * 14 : 0), 1, names[i], ink);
    }
    bool ok = kn_image_write_png(&image, path, error);
    kn_image_finish(&image);
    kn_free(path);
    return ok;
}

static bool plot_bins(const char *root, const char *name, const char *title, const size_t *counts, size_t bins,
                      double width, kn_error *error) {
    char texts[16][16];
    const char *names[16];
    for (size_t i = 0; i < bins; i++) {
        snprintf(texts[i], sizeof texts[i], i + 1 == bins && width >= 1 ? "%.3g+" : "%.3g", (double)i * width);
        names[i] = texts[i];
    }
    return write_plot(root, name, title, names, counts, bins, error);
}

static bool plot_counts(const char *root, const char *name, const char *title, const kn_counts *counts,
                        kn_error *error) {
    const char *names[64];
    size_t values[64];
    for (size_t i = 0; i < counts->used; i++) names[i] = counts->entries[i].name, values[i] = counts->entries[i].count;
    return write_plot(root, name, title, names, values, counts->used, error);
}

static bool write_plots(const kn_statistics *s, const char *root, kn_error *error) {
    size_t distance[KN_DISTANCE_BINS] = {0}, used = 0, values[KN_CLIP_CATEGORIES];
    const char *names[KN_CLIP_CATEGORIES];
    char *folder = kn_path_join(root, "plots", error);
    bool ok = folder && kn_make_directories(folder, error);
    for (int c = 0; c < KN_CLIP_CATEGORIES; c++) {
        const char *dot = strrchr(kn_clip_categories[c], '.');
        if (s->by_category[c]) names[used] = dot ? dot + 1 : kn_clip_categories[c], values[used++] = s->by_category[c];
        for (int b = 0; b < KN_DISTANCE_BINS; b++) distance[b] += s->by_distance[c][b];
    }
    kn_free(folder);
    ok = ok && write_plot(root, "classes", "ANNOTATIONS BY CLASS", names, values, used, error) &&
         plot_bins(root, "distance", "ANNOTATIONS BY DISTANCE, M", distance, KN_DISTANCE_BINS, 10, error) &&
         plot_bins(root, "occlusion", "BOXES BY SHARE COVERED", s->by_occlusion, KN_OCCLUSION_BINS, .1, error) &&
         plot_bins(root, "speed", "ANNOTATIONS BY SPEED, M/S", s->by_speed, KN_SPEED_BINS, 3, error) &&
         plot_bins(root, "ego_speed", "KEY FRAMES BY EGO SPEED, M/S", s->by_ego_speed, KN_SPEED_BINS, 3, error) &&
         plot_counts(root, "weather", "CLIPS BY WEATHER", &s->weather, error) &&
         plot_counts(root, "time", "CLIPS BY TIME OF DAY", &s->time, error);
    for (int c = 0; ok && c < KN_CLIP_CATEGORIES; c++) {
        char name[100], title[120];
        if (!s->by_category[c]) continue;
        snprintf(name, sizeof name, "distance_%s", kn_clip_categories[c]);
        snprintf(title, sizeof title, "%.60s BY DISTANCE, M", kn_clip_categories[c]);
        ok = plot_bins(root, name, title, s->by_distance[c], KN_DISTANCE_BINS, 10, error);
    }
    return ok;
}

/* --- texts
 * ------------------------------------------------------------------------------------------------------------------ */

static json_t *counts_record(const kn_counts *counts) {
    json_t *record = json_object();
    for (size_t i = 0; i < counts->used; i++)
        json_object_set_new(record, counts->entries[i].name, json_integer((json_int_t)counts->entries[i].count));
    return record;
}

static json_t *bins_record(const size_t *bins, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) json_array_append_new(list, json_integer((json_int_t)bins[i]));
    return list;
}

static bool write_json(const kn_statistics *s, const char *root, kn_error *error) {
    json_t *classes = json_object();
    for (int c = 0; c < KN_CLIP_CATEGORIES; c++)
        if (s->by_category[c])
            json_object_set_new(classes, kn_clip_categories[c],
                                json_pack("{sI so}", "annotations", (json_int_t)s->by_category[c], "by_distance",
                                          bins_record(s->by_distance[c], KN_DISTANCE_BINS)));
    json_t *all = json_pack(
        "{sI sI sf sI sI sI sI sI so so so so so so so so}", "train_clips", (json_int_t)s->clips[0], "val_clips",
        (json_int_t)s->clips[1], "seconds", s->seconds, "pictures", (json_int_t)s->pictures, "key_frames",
        (json_int_t)s->key_frames, "annotations", (json_int_t)s->annotations, "boxes_2d", (json_int_t)s->boxes,
        "lidar_points_in_boxes", (json_int_t)s->lidar_points, "classes", classes, "occlusion_by_tenth",
        bins_record(s->by_occlusion, KN_OCCLUSION_BINS), "speed_by_3_m_s", bins_record(s->by_speed, KN_SPEED_BINS),
        "ego_speed_by_3_m_s", bins_record(s->by_ego_speed, KN_SPEED_BINS), "weather", counts_record(&s->weather),
        "time", counts_record(&s->time), "source", counts_record(&s->source), "scenes", counts_record(&s->scenes));
    char *text = all ? json_dumps(all, JSON_INDENT(1) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9)) : NULL,
         *path = kn_path_join(root, "statistics.json", error);
    bool ok = path && (text || kn_fail(error, KN_ERROR_INTERNAL, "%s: a name that is no UTF-8", path)) &&
              kn_file_write(path, text, strlen(text), error);
    free(text);
    kn_free(path);
    json_decref(all);
    return ok;
}

static void write_counts(FILE *stream, const char *title, const kn_counts *counts) {
    fprintf(stream, "\n| %s | clips |\n|---|---|\n", title);
    for (size_t i = 0; i < counts->used; i++)
        fprintf(stream, "| %s | %zu |\n", counts->entries[i].name, counts->entries[i].count);
}

static void write_datasheet(const kn_statistics *s, FILE *stream, const char *formats, const char *version) {
    fprintf(stream,
            "# Datasheet\n\nDriving clips generated by Kinora %s. **All pictures are generated** (AIGC, GB 45438-2025; "
            "EU AI Act, article 50); none shows a "
            "real place or person. Labels are exact: pictures and labels come from the same scene.\n\n",
            version);
    fprintf(stream,
            "%zu clips (%zu train, %zu val), %.1f s, %zu pictures, %zu key frames, %zu 3D annotations, %zu 2D boxes, "
            "%zu lidar points in boxes.\n"
            "Train and val share no scenario. Formats: %s.\n",
            s->clips[0] + s->clips[1], s->clips[0], s->clips[1], s->seconds, s->pictures, s->key_frames, s->annotations,
            s->boxes, s->lidar_points, formats);
    fputs("\n| class | annotations | below 30 m | 30 to 60 m | farther |\n|---|---|---|---|---|\n", stream);
    for (int c = 0; c < KN_CLIP_CATEGORIES; c++) {
        size_t near = 0, middle = 0;
        for (int b = 0; b < 3; b++) near += s->by_distance[c][b], middle += s->by_distance[c][b + 3];
        if (s->by_category[c])
            fprintf(stream, "| %s | %zu | %zu | %zu | %zu |\n", kn_clip_categories[c], s->by_category[c], near, middle,
                    s->by_category[c] - near - middle);
    }
    write_counts(stream, "weather", &s->weather);
    write_counts(stream, "time of day", &s->time);
    write_counts(stream, "scenario", &s->scenes);
    write_counts(stream, "pictures from", &s->source);
    write_counts(stream, "weights", &s->models);
    fputs("\nPlots: [statistics.html](statistics.html), `plots/`. Numbers: `statistics.json`.\n\n## Licences\n\nThe "
          "pictures are the output of the weights named above: "
          "their licence and that of your scenario files decide what may be done with them. Kinora itself (Apache-2.0) "
          "lays no claim to its output. What weights were trained on stands in the model card beside them.\n\n## What "
          "it is not\n\nA substitute for "
          "tests on real data: say how much of it was "
          "mixed in, and compare at equal training steps.\n",
          stream);
}

static bool write_text(const kn_statistics *s, const char *root, const char *name, const char *formats,
                       const char *version, kn_error *error) {
    static const char *const plots[] = {"classes", "distance", "occlusion", "speed", "ego_speed", "weather", "time"};
    kn_file_writer writer;
    char *path = kn_path_join(root, name, error);
    bool ok = path && kn_file_writer_init(&writer, path, error);
    kn_free(path);
    if (!ok) return false;
    if (strcmp(name, "README.md") == 0) {
        write_datasheet(s, writer.stream, formats, version);
    } else {
        fputs("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Dataset "
              "statistics</title><style>body{font:14px sans-serif;margin:1em}img{border:1px "
              "solid #ddd;margin:.3em}</style><h1>Dataset statistics</h1>\n<p>All pictures of this dataset are "
              "generated (AIGC). See README.md.</p>\n",
              writer.stream);
        for (size_t i = 0; i < KN_COUNT(plots); i++)
            fprintf(writer.stream, "<img src=\"plots/%s.png\" alt=\"%s\">\n", plots[i], plots[i]);
        for (int c = 0; c < KN_CLIP_CATEGORIES; c++)
            if (s->by_category[c])
                fprintf(writer.stream, "<img src=\"plots/distance_%s.png\" alt=\"%s by distance\">\n",
                        kn_clip_categories[c], kn_clip_categories[c]);
        fputs("</html>\n", writer.stream);
    }
    return kn_file_writer_commit(&writer, error);
}

bool kn_statistics_write(const kn_statistics *s, const char *root, const char *formats, const char *version,
                         kn_error *error) {
    return write_plots(s, root, error) && write_json(s, root, error) &&
           write_text(s, root, "README.md", formats, version, error) &&
           write_text(s, root, "statistics.html", formats, version, error);
}
