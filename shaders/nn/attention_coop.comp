#version 460
// attention_tiled.comp on matrix units: fp16 queries, keys, values and weights, fp32 scores, sums and outputs.
//
// A subgroup takes m queries, a workgroup as many subgroups as it has. Where the elements of a matrix lie is unknown,
// so outputs cannot be rescaled in place whenever a row's highest score grows. Weights are therefore relative to a
// reference that moves, through shared memory, only when a score exceeds it by more than `slack`: weights stay below
// 2^slack, well inside fp16, and the sum is relative to the same reference, so the result is the same. gl_WorkGroupID:
// query tile, head, batch member. See conv_coop.comp for the extension.
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#extension GL_NV_cooperative_matrix : require

layout(local_size_x_id = 0) in;
layout(constant_id = 4) const uint head_vectors = 10;
layout(constant_id = 5) const uint subgroup_size = 32;
layout(constant_id = 6) const bool causal = false;
layout(constant_id = 7) const bool accumulate = false;
layout(constant_id = 8) const uint tile_keys = 32; // a multiple of n, k, and 4 * lanes_each
layout(constant_id = 9) const uint padded = 12;    // vec4 of a head, up to a multiple of n and k channels
layout(constant_id = 12) const uint m = 16;
layout(constant_id = 13) const uint n = 16;
layout(constant_id = 14) const uint k = 16;

#include "attention_push.glsl"

layout(set = 0, binding = 0, std430) readonly buffer Queries { vec4 queries[]; };
layout(set = 0, binding = 1, std430) readonly buffer Keys { vec4 keys[]; };
layout(set = 0, binding = 2, std430) readonly buffer Values { vec4 values[]; };
layout(set = 0, binding = 3, std430) readonly buffer Members { uint members[]; };
layout(set = 0, binding = 4, std430) buffer Outputs { vec4 outputs[]; };

const uint threads = gl_WorkGroupSize.x, subgroups = threads / subgroup_size, tile_queries = subgroups * m;
const uint stride = padded + 2;                       // of queries, keys and values: four fp16 a word pair
const uint score_stride = tile_keys + 4, weight_stride = tile_keys / 4 + 2;
const uint lanes_each = subgroup_size / m, keys_each = tile_keys / lanes_each; // of a row in the softmax
const uint score_size = m * (score_stride > n ? score_stride : n);
const uint blocks = 4 * padded / n;                   // output matrices of a subgroup
const float lowest = -1e30, slack = 8.0;

shared uvec2 query_tile[tile_queries * stride];
shared uvec2 key_tile[tile_keys * stride]; // then the values
shared float scores[subgroups * score_size]; // of each subgroup; also where its outputs pass
shared uvec2 weights[tile_queries * weight_stride];
shared float factors[tile_queries]; // of the rows of outputs on their way through `scores`

#define EACH_BLOCK [[unroll]] for (uint j = 0; j < blocks; j++)

fcoopmatNV<32, gl_ScopeSubgroup, m, n> acc[blocks];
uint thread, lane, first_row, first_score; // of the subgroup: row in the tile, place in `scores`
int query0;

uvec2 pack(vec4 v) { return uvec2(packHalf2x16(v.xy), packHalf2x16(v.zw)); }

#define LOAD_TILE(target, source, base, first, tokens, rows, factor)                                                 \
    for (uint i = thread; i < rows * padded; i += threads) {                                                         \
        int token = first + int(i / padded);                                                                         \
        uint d = i % padded;                                                                                         \
        vec4 v =                                                                                                     \
            token < tokens && d < head_vectors ? source[base + token * p.row_vectors + int(d)] * factor : vec4(0.0); \
        target[i / padded * stride + d] = pack(v);                                                                   \
    }

void make_scores() {
    [[unroll]] for (uint c = 0; c < tile_keys; c += n) {
        fcoopmatNV<32, gl_ScopeSubgroup, m, n> s = fcoopmatNV<32, gl_ScopeSubgroup, m, n>(0.0);
        [[unroll]] for (uint d = 0; d < padded; d += k / 4) {
            fcoopmatNV<16, gl_ScopeSubgroup, m, k> a;
            fcoopmatNV<16, gl_ScopeSubgroup, k, n> b;
            coopMatLoadNV(a, query_tile, first_row * stride + d, stride, false);
            coopMatLoadNV(b, key_tile, c * stride + d, stride, true);
            s = coopMatMulAddNV(a, b, s);
        }
        coopMatStoreNV(s, scores, first_score + c, score_stride, false);
    }
}

float row_max(float x) {
    [[unroll]] for (uint i = 1; i < lanes_each; i *= 2) x = max(x, subgroupShuffleXor(x, i));
    return x;
}

// Scores of the lane's part of its row become fp16 weights relative to `reference`; returns their sum.
float soften(int key0, inout float reference, inout float sum) {
    uint row = lane / lanes_each, part = lane % lanes_each * keys_each, at = first_score + row * score_stride + part;
    int query = query0 + int(first_row + row), last = p.key_tokens - 1;
    if (causal) last = min(last, query);
    float high = lowest;
    for (uint i = 0; i < keys_each; i++) high = max(high, key0 + int(part + i) <= last ? scores[at + i] : lowest);
    high = row_max(high);
    float factor = 1.0;
    if (high > reference + slack) {
        factor = exp2(reference - high);
        reference = high;
    }
    sum *= factor;
    for (uint i = 0; i < keys_each; i += 4) {
        vec4 w;
        [[unroll]] for (uint u = 0; u < 4; u++)
            w[u] = key0 + int(part + i + u) <= last ? exp2(scores[at + i + u] - reference) : 0.0;
        weights[(first_row + row) * weight_stride + (part + i) / 4] = pack(w);
        sum += w.x + w.y + (w.z + w.w);
    }
    return factor;
}

// acc rows times their factors. All subgroups of the workgroup take part.
void rescale() {
    EACH_BLOCK {
        barrier();
        coopMatStoreNV(acc[j], scores, first_score, n, false);
        barrier();
        for (uint i = lane; i < m * n; i += subgroup_size) scores[first_score + i] *= factors[first_row + i / n];
        barrier();
        coopMatLoadNV(acc[j], scores, first_score, n, false);
    }
}

void add_values() {
    [[unroll]] for (uint c = 0; c < tile_keys; c += k) {
        fcoopmatNV<16, gl_ScopeSubgroup, m, k> a;
        coopMatLoadNV(a, weights, first_row * weight_stride + c / 4, weight_stride, false);
        EACH_BLOCK {
            fcoopmatNV<16, gl_ScopeSubgroup, k, n> b;
            coopMatLoadNV(b, key_tile, c * stride + j * (n / 4), stride, false);
            acc[j] = coopMatMulAddNV(a, b, acc[j]);
        }
    }
}

void store(int base) {
    EACH_BLOCK {
        barrier();
        coopMatStoreNV(acc[j], scores, first_score, n, false);
        barrier();
        for (uint i = lane; i < m * n / 4; i += subgroup_size) {
            uint row = 4 * i / n, at = first_score + 4 * i, d = (j * n + 4 * i % n) / 4;
            int query = query0 + int(first_row + row), to = base + query * p.out_row_vectors + int(d);
            if (query < p.query_tokens && d < head_vectors) {
                vec4 v = vec4(scores[at], scores[at + 1], scores[at + 2], scores[at + 3]) * factors[first_row + row];
                if (accumulate) v += outputs[to];
                outputs[to] = v;
            }
        }
    }
}

shared uint moved; // whether any row's reference moved, in this step

void main() {
    thread = gl_LocalInvocationID.x, lane = gl_SubgroupInvocationID;
    first_row = gl_SubgroupID * m, first_score = gl_SubgroupID * score_size;
    int head_at = int(gl_WorkGroupID.y * head_vectors), member = int(gl_WorkGroupID.z);
    query0 = int(gl_WorkGroupID.x * tile_queries);
    int query_base = member * p.query_tokens * p.row_vectors + head_at;
    int key_base = int(members[member + p.first_member]) * p.key_tokens * p.row_vectors + head_at;

    EACH_BLOCK acc[j] = fcoopmatNV<32, gl_ScopeSubgroup, m, n>(0.0);
    LOAD_TILE(query_tile, queries, query_base, query0, p.query_tokens, tile_queries, p.scale)
    float reference = lowest, sum = 0.0;
    int last_key = causal ? min(p.key_tokens, query0 + int(tile_queries)) : p.key_tokens;
    for (int key0 = 0; key0 < last_key; key0 += int(tile_keys)) {
        barrier();
        LOAD_TILE(key_tile, keys, key_base, key0, p.key_tokens, tile_keys, 1.0)
        if (thread == 0) moved = 0;
        barrier();
        make_scores();
        barrier();
        LOAD_TILE(key_tile, values, key_base, key0, p.key_tokens, tile_keys, 1.0)
        float factor = soften(key0, reference, sum);
        if (lane % lanes_each == 0) factors[first_row + lane / lanes_each] = factor;
        if (factor != 1.0) moved = 1;
        barrier();
        if (moved != 0 && key0 > 0) rescale();
        add_values();
    }
    [[unroll]] for (uint i = 1; i < lanes_each; i *= 2) sum += subgroupShuffleXor(sum, i);
    barrier();
    if (lane % lanes_each == 0) factors[first_row + lane / lanes_each] = 1.0 / sum;
    store(member * p.query_tokens * p.out_row_vectors + head_at);
}
