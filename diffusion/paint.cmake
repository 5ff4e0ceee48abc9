# Painting pictures: noise levels, solvers, prompts.
list(APPEND KINORA_DIFFUSION_SOURCES schedule_times.c solver.c solver_multistep.c)
