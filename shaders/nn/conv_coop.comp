#version 460
// conv_tiled.comp on matrix units: fp16 inputs and weights, fp32 accumulation. Only fp16 weights.
//
// The subgroups of a workgroup form a grid of `row_groups` by the rest; each computes its rows by its part of every
// panel as matrices of m x n, so that a value and its gate meet in one subgroup. Rows of the shared tiles are 16 bytes
// longer than what they hold, which keeps matrix loads free of bank conflicts and aligned to 16 bytes. The NV extension
// is what Debian 12 compiles; the build translates it to VK_KHR_cooperative_matrix (tools/spirv_matrix.h).
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_NV_cooperative_matrix : require
#include "activation.glsl"

layout(local_size_x_id = 0) in;
layout(constant_id = 4) const uint tile_rows = 64;
layout(constant_id = 5) const uint panel_lanes = 16;
layout(constant_id = 6) const int activation = 0;
layout(constant_id = 7) const uint subgroup_size = 32;
layout(constant_id = 8) const uint panels = 1;
layout(constant_id = 9) const bool gated = false;
layout(constant_id = 10) const uint depth = 8; // vec4 of input channels a step
layout(constant_id = 11) const bool resized = false;
layout(constant_id = 12) const uint m = 16;
layout(constant_id = 13) const uint n = 16;
layout(constant_id = 14) const uint k = 16;
layout(constant_id = 15) const uint row_groups = 2;

#include "conv_push.glsl"
#include "conv_storage.glsl"

const uint threads = gl_WorkGroupSize.x, subgroups = threads / subgroup_size;
const uint tile_columns = panels * panel_lanes; // of four channels
const uint input_stride = depth + 2, weight_stride = tile_columns + 2;
const uint input_loads = (tile_rows * depth + threads - 1) / threads;
const uint weight_loads = (4 * depth * tile_columns + threads - 1) / threads;
const uint blocks_m = tile_rows / (m * row_groups);                          // matrices of a subgroup: rows,
const uint blocks_n = 4 * panel_lanes / (n * (subgroups / row_groups));      // columns of a panel,
const uint blocks_k = 4 * depth / k;                                         // steps in depth
const uint staged_panels = gated ? 2 : 1, staged_size = m * n;

shared uvec2 input_tile[tile_rows * input_stride];        // [row][k / 4], four fp16 each
shared uvec2 weight_tile[4 * depth * weight_stride];      // [k][column]
shared float stage[subgroups * staged_panels * staged_size];

#define EACH_INPUT [[unroll]] for (uint i = 0; i < input_loads; i++)
#define EACH_WEIGHT [[unroll]] for (uint i = 0; i < weight_loads; i++)
#define EACH_M [[unroll]] for (uint r = 0; r < blocks_m; r++)
#define EACH_N [[unroll]] for (uint c = 0; c < blocks_n; c++)
#define EACH_PANEL [[unroll]] for (uint j = 0; j < panels; j++)

fcoopmatNV<32, gl_ScopeSubgroup, m, n> acc[blocks_m][panels][blocks_n];

void clear() {
    EACH_M EACH_PANEL EACH_N acc[r][j][c] = fcoopmatNV<32, gl_ScopeSubgroup, m, n>(0.0);
}

// acc += the tiles' product. `row`, `column`: of the subgroup in the tile and within a panel.
void multiply(uint row, uint column) {
    [[unroll]] for (uint d = 0; d < blocks_k; d++) {
        fcoopmatNV<16, gl_ScopeSubgroup, m, k> a[blocks_m];
        EACH_M coopMatLoadNV(a[r], input_tile, (row + r * m) * input_stride + d * (k / 4), input_stride, false);
        EACH_PANEL EACH_N {
            fcoopmatNV<16, gl_ScopeSubgroup, k, n> b;
            coopMatLoadNV(b, weight_tile, d * k * weight_stride + j * panel_lanes + (column + c * n) / 4, weight_stride,
                          false);
            EACH_M acc[r][j][c] = coopMatMulAddNV(a[r], b, acc[r][j][c]);
        }
    }
}

vec4 staged(uint at) { return vec4(stage[at], stage[at + 1], stage[at + 2], stage[at + 3]); }

// Through shared memory, since only there it is known which element lies where.
void finish(ConvTile tile, int row0, uint row, uint column) {
    uint base = gl_SubgroupID * staged_panels * staged_size;
    EACH_M EACH_N [[unroll]] for (uint j = 0; j < panels; j += staged_panels) {
        barrier();
        [[unroll]] for (uint s = 0; s < staged_panels; s++)
            coopMatStoreNV(acc[r][j + s][c], stage, base + s * staged_size, n, false);
        barrier();
        for (uint i = gl_SubgroupInvocationID; i < staged_size / 4; i += subgroup_size) {
            int at_row = row0 + int(row + r * m + 4 * i / n),
                at_column = int(j * panel_lanes + (column + c * n + 4 * i % n) / 4);
            vec4 v = staged(base + 4 * i);
            if (gated)
                conv_finish_gated(tile, at_row, at_column, v, staged(base + staged_size * (staged_panels - 1) + 4 * i));
            else conv_finish(tile, at_row, at_column, v, activation);
        }
    }
}

void main() {
    uint thread = gl_LocalInvocationID.x;
    uint row = gl_SubgroupID % row_groups * (blocks_m * m), column = gl_SubgroupID / row_groups * (blocks_n * n);
    int row0 = int(gl_WorkGroupID.x * tile_rows);
    ConvTile tile = conv_tile(int(gl_WorkGroupID.y), int(panels), int(panel_lanes), gated, int(depth));

    ConvRow rows[input_loads];
    EACH_INPUT rows[i] = conv_row(row0 + int((thread + i * threads) / depth));
    vec4 next_input[input_loads];
    uvec2 next_weight[weight_loads];
    clear();

    for (int step = 0; step <= tile.steps; step++) {
        if (step > 0) {
            barrier();
            EACH_INPUT {
                uint at = thread + i * threads;
                uvec2 packed = uvec2(packHalf2x16(next_input[i].xy), packHalf2x16(next_input[i].zw));
                if (at < tile_rows * depth) input_tile[at / depth * input_stride + at % depth] = packed;
            }
            EACH_WEIGHT {
                uint at = thread + i * threads;
                if (at < 4 * depth * tile_columns)
                    weight_tile[at / tile_columns * weight_stride + at % tile_columns] = next_weight[i];
            }
            barrier();
        }
        if (step < tile.steps) {
            int tap = step / tile.blocks, k0 = (step - tap * tile.blocks) * int(depth);
            EACH_INPUT next_input[i] = conv_input(rows[i], tap, k0 + int((thread + i * threads) % depth), resized);
            EACH_WEIGHT {
                uint at = thread + i * threads;
                next_weight[i] = conv_weight_half(tile, tap, 4 * k0 + int(at / tile_columns), int(at % tile_columns));
            }
        }
        if (step > 0) multiply(row, column);
    }
    finish(tile, row0, row, column);
}
