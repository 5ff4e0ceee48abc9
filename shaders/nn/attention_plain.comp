#version 460
// Attention with an online softmax for any device: storage buffers, no subgroup operations, one query of one head an
// invocation. gl_WorkGroupID: query tile, head, batch member.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require

layout(local_size_x_id = 0) in;
layout(constant_id = 4) const uint head_vectors = 10;
layout(constant_id = 6) const bool causal = false;
layout(constant_id = 7) const bool accumulate = false;

#include "attention_push.glsl"

layout(set = 0, binding = 0, std430) readonly buffer Queries { vec4 queries[]; };
layout(set = 0, binding = 1, std430) readonly buffer Keys { vec4 keys[]; };
layout(set = 0, binding = 2, std430) readonly buffer Values { vec4 values[]; };
layout(set = 0, binding = 3, std430) readonly buffer Members { uint members[]; };
layout(set = 0, binding = 4, std430) buffer Outputs { vec4 outputs[]; };

void main() {
    int query = int(gl_GlobalInvocationID.x), head_at = int(gl_WorkGroupID.y * head_vectors);
    int member = int(gl_WorkGroupID.z), key_member = int(members[member + p.first_member]);
    if (query >= p.query_tokens) return;
    int query_at = (member * p.query_tokens + query) * p.row_vectors + head_at;
    int key_base = key_member * p.key_tokens * p.row_vectors + head_at;

    vec4 q[head_vectors], acc[head_vectors];
    [[unroll]] for (uint d = 0; d < head_vectors; d++) {
        q[d] = queries[query_at + d] * p.scale;
        acc[d] = vec4(0.0);
    }
    float top = -1e30, sum = 0.0;
    int last_key = causal ? min(p.key_tokens, query + 1) : p.key_tokens;
    for (int key = 0; key < last_key; key++) {
        int at = key_base + key * p.row_vectors;
        vec4 products = vec4(0.0);
        [[unroll]] for (uint d = 0; d < head_vectors; d++) products += q[d] * keys[at + d];
        float score = products.x + products.y + (products.z + products.w);
        float high = max(top, score), shrink = exp2(top - high), weight = exp2(score - high);
        sum = sum * shrink + weight;
        top = high;
        [[unroll]] for (uint d = 0; d < head_vectors; d++) acc[d] = acc[d] * shrink + weight * values[at + d];
    }
    int out_at = (member * p.query_tokens + query) * p.out_row_vectors + head_at;
    [[unroll]] for (uint d = 0; d < head_vectors; d++) {
        vec4 v = acc[d] / sum;
        if (accumulate) v += outputs[out_at + d];
        outputs[out_at + d] = v;
    }
}
