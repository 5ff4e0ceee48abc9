# Painting pictures: noise levels, solvers, prompts.
list(APPEND KINORA_DIFFUSION_SOURCES schedule_times.c solver.c solver_multistep.c prompt.c paint.c paint_network.c paint_plan.c paint_prompts.c)
