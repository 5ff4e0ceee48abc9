/* Details that must survive a restyling: where a file says that they are. Internal to pipelines/style. */
#ifndef KN_PIPELINES_STYLE_PROTECT_H
#define KN_PIPELINES_STYLE_PROTECT_H

#include "base/base.h"
#include "kinora/track.h"

enum { KN_PROTECT_DETAILS = 16, KN_PROTECT_MARKS = 64 /* of a detail */, KN_PROTECT_POINTS = 256 /* of a mark */ };

/* One detail in one frame. */
typedef struct kn_protect_mark {
    int64_t frame;
    kn_track_box box; /* pixels of the film; around the points or the mask */
    bool from_points;
    char *mask_path; /* NULL: no mask */
    kn_image mask;   /* grey, of the film's size; empty without one */
} kn_protect_mark;

typedef struct kn_protect_detail {
    char *name;
    kn_protect_mark *marks; /* in the order of their frames */
    size_t count, capacity;
} kn_protect_detail;

typedef struct kn_protect {
    char *path;
    kn_protect_detail details[KN_PROTECT_DETAILS];
    size_t count;
} kn_protect;

/* Reads text in the format of docs/style.md; `path` is its name in messages and what masks lie beside. KN_ERROR_INPUT
 * names the detail and the place. */
bool kn_protect_parse(kn_protect *protect, const char *path, const char *text, size_t size, kn_error *error);
/* The same from a file, with its masks, for a film of this size: everything must lie in the frame. */
bool kn_protect_read(kn_protect *protect, const char *path, int width, int height, kn_error *error);
/* KN_ERROR_INPUT when a mark is in a frame that a film of so many frames does not have. */
bool kn_protect_check_frames(const kn_protect *protect, int64_t frames, kn_error *error);
/* What a job knows it by: all that it says, masks included. Free with kn_free. */
char *kn_protect_stamp(const kn_protect *protect, kn_error *error);
void kn_protect_finish(kn_protect *protect);

#endif
