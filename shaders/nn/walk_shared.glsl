// KN_WALK: y[first + row x p.columns + column] = value for the part of the matrix that walk_rows gives, with `row` and
// `at` (the index) defined in `value`. On hardware a loop over rows; where `unrolled_rows` is set (software devices) so
// many rows of every slot in a row, stored as in store_shared.glsl. Include after the push block, which starts with
// columns, rows, rows_per_group.
#include "store_shared.glsl"

layout(constant_id = 15) const uint unrolled_rows = 0;

#define KN_WALK(y, first, w, row, at, value)                                                                       \
    if (unrolled_rows == 0u) {                                                                                     \
        if (w.used) {                                                                                              \
            for (int row = w.row; row < w.end; row += w.step) {                                                    \
                int at = (first) + row * p.columns + w.column;                                                     \
                y(at, value);                                                                                      \
            }                                                                                                      \
        }                                                                                                          \
    } else {                                                                                                       \
        int lanes_ = int(gl_WorkGroupSize.x), row0_ = int(gl_WorkGroupID.x) * p.rows_per_group,                    \
            column0_ = int(gl_WorkGroupID.y) * lanes_;                                                             \
        int to_ = shared_int((first) + row0_ * p.columns + column0_, 27);                                          \
        int step_ = shared_int(w.step, 6), left_ = shared_int(min(p.rows - row0_, p.rows_per_group), 9);           \
        int width_ = shared_int(p.columns < lanes_ ? p.columns : min(p.columns - column0_, lanes_),                \
                                6); /* of one row, in lanes */                                                     \
        [[unroll]] for (uint i_ = 0; i_ < unrolled_rows; i_++) {                                                   \
            int done_ = int(i_) * step_ < left_ ? int(i_) * step_ : 0, used_ = width_ * min(left_ - done_, step_); \
            int row = min(row0_ + done_ + w.slot, p.rows - 1),                                                     \
                at = (first) + row * p.columns + min(w.column, p.columns - 1);                                     \
            vec4 made_ = value;                                                                                    \
            KN_STORE_LANES(y, to_ + done_ * p.columns, 1, used_, made_)                                            \
        }                                                                                                          \
    }
