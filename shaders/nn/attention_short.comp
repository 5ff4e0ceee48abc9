#version 460
// Attention within many short sequences: `tokens` tokens (the frames of a clip, say) for each of many places, one place
// of one head an invocation. The score matrix of a place lives in registers. Rows are [place][token]. gl_WorkGroupID:
// head, block of places; heads come first since those of a place share cache lines.
#extension GL_GOOGLE_include_directive : require
#include "tensor.glsl"

layout(constant_id = 4) const uint head_vectors = 8;
layout(constant_id = 5) const uint tokens = 8;

layout(push_constant) uniform Push {
    int places, row_vectors;
    float scale;
} p;

KN_INPUT(queries, 0)
KN_INPUT(keys, 1)
KN_INPUT(values, 2)
KN_STORE(outputs, 3)

#define EACH_QUERY [[unroll]] for (uint i = 0; i < tokens; i++)
#define EACH_KEY [[unroll]] for (uint j = 0; j < tokens; j++)

void main() {
    int place = int(gl_WorkGroupID.y * gl_WorkGroupSize.x + gl_LocalInvocationID.x);
    if (place >= p.places) return;
    int base = place * int(tokens) * p.row_vectors + int(gl_WorkGroupID.x * head_vectors);

    float s[tokens][tokens];
    EACH_QUERY EACH_KEY s[i][j] = 0.0;
    for (int d = 0; d < int(head_vectors); d++) {
        vec4 q[tokens], k[tokens];
        EACH_QUERY q[i] = queries(base + int(i) * p.row_vectors + d);
        EACH_KEY k[j] = keys(base + int(j) * p.row_vectors + d);
        EACH_QUERY EACH_KEY s[i][j] += q[i].x * k[j].x + q[i].y * k[j].y + (q[i].z * k[j].z + q[i].w * k[j].w);
    }
    EACH_QUERY {
        float top = s[i][0], sum = 0.0;
        EACH_KEY top = max(top, s[i][j]);
        EACH_KEY {
            s[i][j] = exp2((s[i][j] - top) * p.scale);
            sum += s[i][j];
        }
        float scale = 1.0 / sum;
        EACH_KEY s[i][j] *= scale;
    }
    for (int d = 0; d < int(head_vectors); d++) {
        vec4 v[tokens];
        EACH_KEY v[j] = values(base + int(j) * p.row_vectors + d);
        EACH_QUERY {
            vec4 r = vec4(0.0);
            EACH_KEY r += s[i][j] * v[j];
            outputs(base + int(i) * p.row_vectors + d, r);
        }
    }
}
