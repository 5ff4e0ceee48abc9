// Storing one vec4 of every lane of a subgroup at equal distances, for software devices. They store lane by lane with
// branches, unless all lanes are known to share the address: then a store is a plain move of one lane's value. Mesa 22
// knows it of push constants and what is computed from them, not of workgroup ids; `shared_int` therefore looks an
// integer up, three bits at a time, in `p.digits` (0 to 7, the last member of the push block). Works outside of
// branches and loops only. Include after the push block.
#extension GL_KHR_shader_subgroup_shuffle : require
#include "store.glsl"

// v, equal in all lanes, 0 <= v < 2^bits.
int shared_int(int v, const int bits) {
    int r = 0;
    [[unroll]] for (int s = 0; s < bits; s += 3) r |= p.digits[(v >> s) & 7] << s;
    return r;
}

// Lane l's value goes to vec4 number `at` + l x `step` for l < `used`, with shared integers and used >= 1. The other
// lanes' values go where lane 0's follows.
#define KN_STORE_LANES(name, at, step, used, value)                                                               \
    {                                                                                                             \
        vec4 v_ = value;                                                                                          \
        [[unroll]] for (uint i_ = 0; i_ < gl_WorkGroupSize.x; i_++) {                                             \
            uint l_ = gl_WorkGroupSize.x - 1 - i_;                                                                \
            name##_words[(at) + (int(l_) < (used) ? int(l_) : 0) * (step)] =                                      \
                store_words(vec4(subgroupShuffle(v_.x, l_), subgroupShuffle(v_.y, l_), subgroupShuffle(v_.z, l_), \
                                 subgroupShuffle(v_.w, l_)));                                                     \
        }                                                                                                         \
    }
