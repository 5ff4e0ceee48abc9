# Tensor files and checkpoints: formats, names, kinds, LoRA.
list(APPEND KINORA_DIFFUSION_SOURCES tensors.c quantise.c gguf.c unzip.c pickle.c torch_file.c names_ldm.c checkpoint.c detect.c lora.c lora_apply.c lora_turn.c component.c clean.c html_entities.c unicode_nfc.c)
