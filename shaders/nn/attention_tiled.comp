#version 460
// Attention with an online softmax through shared memory, for GPUs without matrix units: fp32, heads of any width.
//
// A workgroup takes threads / 4 queries of one head and walks the keys, 32 at a time. Scores and outputs are tiles of
// four rows an invocation: 16 invocations along the keys (two each) or along the output's vec4 columns (every 16th). In
// the softmax four invocations share a row. gl_WorkGroupID: query tile, head, batch member.
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

const uint threads = gl_WorkGroupSize.x, tile_queries = threads / 4, tile_keys = 32;
const uint columns = 16, rows_each = 4, row_step = threads / columns;
const uint depth = 4, query_stride = depth + 1;                     // vec4 of a head that a step of the scores takes
const uint blocks = (head_vectors + columns - 1) / columns;         // output vec4 of an invocation
const uint part_size = (tile_queries + tile_keys) * query_stride;
const uint tile_size = part_size > tile_keys * columns ? part_size : tile_keys * columns;
const uint score_stride = tile_keys + 1;
const float lowest = -1e30;

shared vec4 tile[tile_size]; // queries and keys, [row][depth]; then values, [key][column]
shared float scores[tile_queries * score_stride];
shared float partial[threads], shrink[tile_queries];

#define EACH_ROW [[unroll]] for (uint r = 0; r < rows_each; r++)
#define EACH_BLOCK [[unroll]] for (uint j = 0; j < blocks; j++)

uint thread, column, row_thread; // of the tiles of scores and outputs: rows row_thread + r * row_step
int query0, query_base, key_base;

vec4 query_part(int query, uint d) {
    return query < p.query_tokens && d < head_vectors ? queries[query_base + query * p.row_vectors + int(d)] * p.scale
                                                      : vec4(0.0);
}

vec4 key_part(int key, uint d) {
    return key < p.key_tokens && d < head_vectors ? keys[key_base + key * p.row_vectors + int(d)] : vec4(0.0);
}

// scores = queries x keys of this tile, `lowest` where a query does not see a key.
void make_scores(int key0) {
    float s[rows_each][2];
    EACH_ROW s[r][0] = s[r][1] = 0.0;
    for (uint d0 = 0; d0 < head_vectors; d0 += depth) {
        barrier();
        for (uint i = thread; i < tile_queries * depth; i += threads)
            tile[i / depth * query_stride + i % depth] = query_part(query0 + int(i / depth), d0 + i % depth);
        for (uint i = thread; i < tile_keys * depth; i += threads)
            tile[(tile_queries + i / depth) * query_stride + i % depth] =
                key_part(key0 + int(i / depth), d0 + i % depth);
        barrier();
        [[unroll]] for (uint d = 0; d < depth; d++) {
            vec4 a = tile[(tile_queries + column) * query_stride + d],
                 b = tile[(tile_queries + columns + column) * query_stride + d];
            EACH_ROW {
                vec4 q = tile[(row_thread + r * row_step) * query_stride + d];
                s[r][0] += dot(q, a);
                s[r][1] += dot(q, b);
            }
        }
    }
    EACH_ROW [[unroll]] for (uint c = 0; c < 2; c++) {
        uint row = row_thread + r * row_step;
        int key = key0 + int(column + c * columns);
        bool seen = key < p.key_tokens && (!causal || key <= query0 + int(row));
        scores[row * score_stride + column + c * columns] = seen ? s[r][c] : lowest;
    }
    barrier();
}

// Scores become weights relative to the highest so far; returns the weights' sum of this invocation's quarter row.
float soften(inout float top) {
    uint row = thread / 4, first = row * score_stride + thread % 4 * (tile_keys / 4);
    float high = top, sum = 0.0;
    for (uint i = 0; i < tile_keys / 4; i++) high = max(high, scores[first + i]);
    partial[thread] = high;
    barrier();
    high = max(max(partial[row * 4], partial[row * 4 + 1]), max(partial[row * 4 + 2], partial[row * 4 + 3]));
    for (uint i = 0; i < tile_keys / 4; i++) {
        float weight = exp2(scores[first + i] - high);
        scores[first + i] = weight;
        sum += weight;
    }
    if (thread % 4 == 0) shrink[row] = exp2(top - high);
    top = high;
    barrier();
    return sum;
}

void main() {
    thread = gl_LocalInvocationID.x, column = thread % columns, row_thread = thread / columns;
    int head_at = int(gl_WorkGroupID.y * head_vectors), member = int(gl_WorkGroupID.z);
    query0 = int(gl_WorkGroupID.x * tile_queries);
    query_base = member * p.query_tokens * p.row_vectors + head_at;
    key_base = int(members[member + p.first_member]) * p.key_tokens * p.row_vectors + head_at;

    vec4 acc[rows_each][blocks];
    EACH_ROW EACH_BLOCK acc[r][j] = vec4(0.0);
    float top = lowest, sum = 0.0;
    int last_key = causal ? min(p.key_tokens, query0 + int(tile_queries)) : p.key_tokens;
    for (int key0 = 0; key0 < last_key; key0 += int(tile_keys)) {
        make_scores(key0);
        float before = top, part = soften(top);
        sum = sum * exp2(before - top) + part;
        EACH_ROW EACH_BLOCK acc[r][j] *= shrink[row_thread + r * row_step];
        EACH_BLOCK {
            if (j > 0) barrier();
            for (uint i = thread; i < tile_keys * columns; i += threads) {
                uint d = j * columns + i % columns;
                int key = key0 + int(i / columns);
                tile[i] = key < p.key_tokens && d < head_vectors ? values[key_base + key * p.row_vectors + int(d)]
                                                                 : vec4(0.0);
            }
            barrier();
            for (uint i = 0; i < tile_keys; i++) {
                vec4 v = tile[i * columns + column];
                EACH_ROW acc[r][j] += scores[(row_thread + r * row_step) * score_stride + i] * v;
            }
        }
    }
    partial[thread] = sum;
    barrier();
    EACH_ROW {
        uint row = row_thread + r * row_step;
        int query = query0 + int(row), at = (member * p.query_tokens + query) * p.out_row_vectors + head_at;
        float scale = 1.0 / (partial[row * 4] + partial[row * 4 + 1] + (partial[row * 4 + 2] + partial[row * 4 + 3]));
        EACH_BLOCK {
            uint d = j * columns + column;
            if (query < p.query_tokens && d < head_vectors) {
                vec4 v = acc[r][j] * scale;
                if (accumulate) v += outputs[at + int(d)];
                outputs[at + int(d)] = v;
            }
        }
    }
}
