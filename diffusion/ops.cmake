# The network operations (ops.h) and their benchmark.
list(APPEND KINORA_DIFFUSION_SOURCES ops_graph.c ops_launch.c ops_weight.c ops_matrix.c ops_winograd.c ops_norm.c ops_attention.c ops_layout.c ops_variant.c bench.c bench_case.c bench_networks.c tune.c plan.c)
