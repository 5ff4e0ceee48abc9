#version 460
// attention.comp for heads too wide for registers (the autoencoder's: one head of 512 channels), for software devices.
//
// Queries are read again for every block of keys, and a workgroup makes only `value_vectors` of a head's output
// vectors, so that the scores of a query tile are computed once per part. gl_WorkGroupID: query tile, head and part,
// batch member.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "store.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 4) const uint head_vectors = 128; // d / 4
layout(constant_id = 5) const uint query_blocks = 2;
layout(constant_id = 6) const uint value_vectors = 32; // divides head_vectors

#include "attention_push.glsl"

layout(set = 0, binding = 0) uniform samplerBuffer queries;
layout(set = 0, binding = 1) uniform samplerBuffer keys;
layout(set = 0, binding = 2) uniform samplerBuffer values;
layout(set = 0, binding = 3) uniform usamplerBuffer members; // of keys and values, per member of the queries
KN_STORE(outputs, 4)

const uint lanes = gl_WorkGroupSize.x;
const uint parts = head_vectors / value_vectors;
const float lowest = -1e30;

#define EACH_QUERY_BLOCK [[unroll]] for (uint b = 0; b < query_blocks; b++)
#define EACH_KEY [[unroll]] for (uint i = 0; i < lanes; i++)
#define EACH_VALUE [[unroll]] for (uint d = 0; d < value_vectors; d++)

void main() {
    int lane = int(gl_SubgroupInvocationID);
    int query0 = int(gl_WorkGroupID.x * query_blocks * lanes) + lane;
    int head_at = int(gl_WorkGroupID.y / parts * head_vectors),
        value_at = int(gl_WorkGroupID.y % parts * value_vectors);
    int member = int(gl_WorkGroupID.z);
    int key_base = int(texelFetch(members, member + p.first_member).x) * p.key_tokens * p.row_vectors + head_at;

    vec4 acc[query_blocks][value_vectors];
    float top[query_blocks], sum[query_blocks];
    int query_at[query_blocks];
    EACH_QUERY_BLOCK {
        query_at[b] =
            (member * p.query_tokens + min(query0 + int(b * lanes), p.query_tokens - 1)) * p.row_vectors + head_at;
        EACH_VALUE acc[b][d] = vec4(0.0);
        top[b] = lowest;
        sum[b] = 0.0;
    }

    for (int key0 = 0; key0 < p.key_tokens; key0 += int(lanes)) {
        int at = key_base + min(key0 + lane, p.key_tokens - 1) * p.row_vectors;
        float s[query_blocks][lanes];
        EACH_QUERY_BLOCK EACH_KEY s[b][i] = 0.0;
        for (int d = 0; d < int(head_vectors); d++) {
            vec4 k = texelFetch(keys, at + d), q[query_blocks];
            EACH_QUERY_BLOCK q[b] = texelFetch(queries, query_at[b] + d);
            EACH_KEY {
                float k0 = subgroupShuffle(k.x, i), k1 = subgroupShuffle(k.y, i);
                float k2 = subgroupShuffle(k.z, i), k3 = subgroupShuffle(k.w, i);
                EACH_QUERY_BLOCK {
                    float t = q[b].x * k0;
                    t += q[b].y * k1;
                    t += q[b].z * k2;
                    t += q[b].w * k3;
                    s[b][i] += t;
                }
            }
        }
        EACH_QUERY_BLOCK {
            float high = top[b];
            EACH_KEY {
                s[b][i] = key0 + int(i) < p.key_tokens ? s[b][i] * p.scale : lowest;
                high = max(high, s[b][i]);
            }
            float shrink = exp2(top[b] - high), total = sum[b] * shrink;
            EACH_KEY {
                s[b][i] = exp2(s[b][i] - high);
                total += s[b][i];
            }
            sum[b] = total;
            top[b] = high;
            EACH_VALUE acc[b][d] *= shrink;
        }
        EACH_VALUE {
            vec4 v = texelFetch(values, at + value_at + int(d));
            EACH_KEY {
                vec4 value = vec4(subgroupShuffle(v.x, i), subgroupShuffle(v.y, i), subgroupShuffle(v.z, i),
                                  subgroupShuffle(v.w, i));
                EACH_QUERY_BLOCK acc[b][d] += s[b][i] * value;
            }
        }
    }

    EACH_QUERY_BLOCK {
        int query = query0 + int(b * lanes);
        int at = (member * p.query_tokens + query) * p.out_row_vectors + head_at + value_at;
        float scale = 1.0 / sum[b];
        if (query < p.query_tokens) {
            EACH_VALUE outputs(at + int(d), acc[b][d] * scale);
        }
    }
}
