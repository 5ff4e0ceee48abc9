#version 460
// Attention in one pass with an online softmax (Milakov and Gimelshein 2018; FlashAttention, Dao et al. 2022), for
// software devices: the score matrix is never stored.
//
// One workgroup is one subgroup and computes `query_blocks` x lanes queries of one head. A lane holds whole queries, so
// the softmax needs no reduction across lanes; a block of keys, then of values, is held one a lane and broadcast with
// constant subgroup shuffles. gl_WorkGroupID: query tile, head, batch member.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

layout(local_size_x_id = 0) in;
layout(constant_id = 4) const uint head_vectors = 10; // d / 4
layout(constant_id = 5) const uint query_blocks = 2;
layout(constant_id = 6) const bool causal = false;
layout(constant_id = 7) const bool accumulate = false;
layout(constant_id = 8) const bool shared_stores = false; // store_shared.glsl, not with accumulate

#include "attention_push.glsl"
#include "store_shared.glsl"

layout(set = 0, binding = 0) uniform samplerBuffer queries;
layout(set = 0, binding = 1) uniform samplerBuffer keys;
layout(set = 0, binding = 2) uniform samplerBuffer values;
layout(set = 0, binding = 3) uniform usamplerBuffer members; // of keys and values, per member of the queries
layout(set = 0, binding = 4, std430) readonly buffer Before { vec4 before[]; };
KN_STORE(outputs, 4)

const uint lanes = gl_WorkGroupSize.x;
const float lowest = -1e30;

#define EACH_QUERY_BLOCK [[unroll]] for (uint b = 0; b < query_blocks; b++)
#define EACH_KEY [[unroll]] for (uint i = 0; i < lanes; i++)

void main() {
    int lane = int(gl_SubgroupInvocationID);
    int query0 = int(gl_WorkGroupID.x * query_blocks * lanes) + lane;
    int head_at = int(gl_WorkGroupID.y * head_vectors);
    int member = int(gl_WorkGroupID.z);
    int key_member = int(texelFetch(members, member + p.first_member).x);
    int query_base = member * p.query_tokens * p.row_vectors + head_at;
    int key_base = key_member * p.key_tokens * p.row_vectors + head_at;

    vec4 q[query_blocks][head_vectors], acc[query_blocks][head_vectors];
    float top[query_blocks], sum[query_blocks];
    EACH_QUERY_BLOCK {
        int at = query_base + min(query0 + int(b * lanes), p.query_tokens - 1) * p.row_vectors;
        [[unroll]] for (uint d = 0; d < head_vectors; d++) {
            q[b][d] = texelFetch(queries, at + int(d)) * p.scale;
            acc[b][d] = vec4(0.0);
        }
        top[b] = lowest;
        sum[b] = 0.0;
    }

    int last_key = p.key_tokens;
    if (causal) last_key = min(last_key, int((gl_WorkGroupID.x + 1) * query_blocks * lanes));
    for (int key0 = 0; key0 < last_key; key0 += int(lanes)) {
        int at = key_base + min(key0 + lane, p.key_tokens - 1) * p.row_vectors;
        float s[query_blocks][lanes];
        EACH_QUERY_BLOCK EACH_KEY s[b][i] = 0.0;
        [[unroll]] for (uint d = 0; d < head_vectors; d++) {
            vec4 k = texelFetch(keys, at + int(d));
            EACH_KEY {
                float k0 = subgroupShuffle(k.x, i), k1 = subgroupShuffle(k.y, i);
                float k2 = subgroupShuffle(k.z, i), k3 = subgroupShuffle(k.w, i);
                EACH_QUERY_BLOCK {
                    float t = q[b][d].x * k0;
                    t += q[b][d].y * k1;
                    t += q[b][d].z * k2;
                    t += q[b][d].w * k3;
                    s[b][i] += t;
                }
            }
        }
        EACH_QUERY_BLOCK {
            float high = top[b];
            EACH_KEY {
                int key = key0 + int(i);
                bool seen = key < p.key_tokens;
                if (causal) seen = seen && key <= query0 + int(b * lanes);
                s[b][i] = seen ? s[b][i] : lowest;
                high = max(high, s[b][i]);
            }
            float shrink = exp2(top[b] - high);
            float total = sum[b] * shrink;
            EACH_KEY {
                s[b][i] = exp2(s[b][i] - high);
                total += s[b][i];
            }
            sum[b] = total;
            top[b] = high;
            [[unroll]] for (uint d = 0; d < head_vectors; d++) acc[b][d] *= shrink;
        }
        [[unroll]] for (uint d = 0; d < head_vectors; d++) {
            vec4 v = texelFetch(values, at + int(d));
            EACH_KEY {
                vec4 value = vec4(subgroupShuffle(v.x, i), subgroupShuffle(v.y, i), subgroupShuffle(v.z, i),
                                  subgroupShuffle(v.w, i));
                EACH_QUERY_BLOCK acc[b][d] += s[b][i] * value;
            }
        }
    }

    if (shared_stores) {
        int block0 = query0 - lane, left = shared_int(min(p.query_tokens - block0, int(query_blocks * lanes)), 9);
        int first = shared_int((member * p.query_tokens + block0) * p.out_row_vectors + head_at, 27);
        [[unroll]] for (uint i = 0; i < query_blocks; i++) { // blocks past the end go where block 0 follows
            int b = int(query_blocks - 1 - i), start = b * int(lanes) < left ? b * int(lanes) : 0;
            int used = clamp(left - b * int(lanes), 1, int(lanes));
            float scale = 1.0 / sum[b];
            [[unroll]] for (uint d = 0; d < head_vectors; d++) KN_STORE_LANES(
                outputs, first + start * p.out_row_vectors + int(d), p.out_row_vectors, used, acc[b][d] * scale)
        }
    } else {
        EACH_QUERY_BLOCK {
            int query = query0 + int(b * lanes);
            int at = (member * p.query_tokens + query) * p.out_row_vectors + head_at;
            float scale = 1.0 / sum[b];
            if (query < p.query_tokens) {
                [[unroll]] for (uint d = 0; d < head_vectors; d++) {
                    vec4 v = acc[b][d] * scale;
                    if (accumulate) v += before[at + int(d)];
                    outputs(at + int(d), v);
                }
            }
        }
    }
}
