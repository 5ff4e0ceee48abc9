kinora_fuzz(gguf SOURCES fuzz_gguf.c LIBRARIES kinora_diffusion)
kinora_fuzz(pickle SOURCES fuzz_pickle.c LIBRARIES kinora_diffusion)
