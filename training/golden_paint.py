"""A tiny Stable Diffusion folder with random weights (CLIP, UNet, an inpainting UNet, KL autoencoder, two ControlNets), saved by the
libraries themselves, and pictures painted with it by diffusers' own pipelines from seeds: batches, guidance, clip skip, image to
image, both kinds of inpainting, ControlNets. Only what weights in prompts do (A1111's rule) is written here."""
import shutil
import types

import diffusers
import torch
import transformers
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

import field
import golden_schedulers
import golden_tokenizer
from golden_solvers import SD1 as SCHEDULE

WIDTH, HEIGHT, FACTOR = 40, 24, 8
SHARED = {"in_channels": 4, "block_out_channels": [8, 8], "layers_per_block": 1, "norm_num_groups": 4, "cross_attention_dim": 12, "attention_head_dim": 2,
          "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"]}
UNET = dict(SHARED, sample_size=64, out_channels=4, up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"])
CONTROL = dict(SHARED, conditioning_channels=3, conditioning_embedding_out_channels=[4, 4, 4, 8])
VAE = {"in_channels": 3, "out_channels": 3, "latent_channels": 4, "block_out_channels": [4, 4, 8, 8], "layers_per_block": 1, "norm_num_groups": 4, "scaling_factor": .18215,
       "down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4}

# Kinora encodes pictures to the mean of their distribution and draws nothing for it.
DiagonalGaussianDistribution.sample = lambda self, generator=None: self.mode()


def pictures():
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    init = torch.stack([(x * 5 % 256), (y * 8 % 256), ((x + y) * 3 % 256)]).float() / 255
    edges = torch.stack([((x // 6 + y // 4) % 2 * 255)] * 3).float() / 255
    depth = torch.stack([(255 - y * 7) % 256] * 3).float() / 255
    mask = ((x >= 16) & (x < 32) & (y >= 8)).float()
    return init[None], edges[None], depth[None], mask[None, None]


class Painter:
    def __init__(self, folder):
        tokenizer = golden_tokenizer.make(f"{folder}/tokenizer", 60)
        count = len(tokenizer.vocab)
        text = {"vocab_size": count, "hidden_size": 12, "intermediate_size": 24, "num_attention_heads": 3, "num_hidden_layers": 3, "max_position_embeddings": 77,
                "hidden_act": "quick_gelu", "bos_token_id": count - 2, "eos_token_id": count - 1}
        make = lambda kind, config, seed: field.make(kind, config, seed).float()
        self.text, self.unet, self.inpaint = field.make_text(text, 70).float(), make("UNet2DConditionModel", UNET, 71), make("UNet2DConditionModel", dict(UNET, in_channels=9), 72)
        self.branches = {name: make("ControlNetModel", CONTROL, 73 + i) for i, name in enumerate(("canny", "depth"))}
        self.vae = make("AutoencoderKL", VAE, 75)
        self.tokenizer = transformers.CLIPTokenizer(vocab=tokenizer.vocab, merges=tokenizer.merges, model_max_length=77)
        self.own = tokenizer
        for name, model in (("text_encoder", self.text), ("unet", self.unet), ("vae", self.vae), ("controlnet-canny", self.branches["canny"]), ("controlnet-depth", self.branches["depth"])):
            field.save_model(f"{folder}/{name}", model)
        field.save_model(f"{folder}-inpaint/unet", self.inpaint)
        field.write_json(f"{folder}/scheduler/scheduler_config.json", SCHEDULE)
        if not hasattr(self.text, "text_model"):  # transformers 5 has no such part any more; diffusers' clip_skip looks for it
            self.text.text_model = types.SimpleNamespace(final_layer_norm=self.text.final_layer_norm)

    # --- weighted chunks, given by hand as lists of (text, weight), so that nothing here parses brackets

    def chunk(self, parts):
        vocab = self.own.vocab
        ids, weights = [vocab[golden_tokenizer.START]], [1.]
        for text, weight in parts:
            tokens = self.own.encode(text)
            tokens = tokens[1:tokens.index(tokens[-1], 1)] if text else []
            ids += tokens
            weights += [weight] * len(tokens)
        end = vocab[golden_tokenizer.END]
        ids, weights = (ids + [end] * 77)[:76] + [end], (weights + [1.] * 77)[:77]
        z = self.text(torch.tensor([ids])).last_hidden_state
        if any(w != 1 for w in weights):
            mean = z.mean()
            z = z * torch.tensor(weights)[None, :, None]
            z = z * (mean / z.mean())
        return z

    def context(self, chunks, count):
        return torch.cat([self.chunk(parts) for parts in chunks] * (count // len(chunks)), 1)

    # --- pictures

    def paint(self, kind, method, seed, batch=1, unet=None, branches=None, **settings):
        parts = dict(vae=self.vae, text_encoder=self.text, tokenizer=self.tokenizer, unet=unet or self.unet, scheduler=golden_schedulers.scheduler_of(SCHEDULE, method, "config"),
                     safety_checker=None, feature_extractor=None, requires_safety_checker=False)
        if branches:
            parts["controlnet"] = [self.branches[name] for name in branches] if len(branches) > 1 else self.branches[branches[0]]
        pipe = getattr(diffusers, kind)(**parts)
        pipe.set_progress_bar_config(disable=True)
        for name in ("image_processor", "mask_processor", "control_image_processor"):
            if hasattr(pipe, name):
                getattr(pipe, name).config.do_resize = False
        generators = [torch.Generator().manual_seed(seed + i) for i in range(batch)]
        return pipe(generator=generators if batch > 1 else generators[0], num_images_per_prompt=batch, output_type="pt", **settings).images


def write(root):
    out = f"{root}/paint"
    shutil.rmtree(f"{out}/sd", ignore_errors=True)
    shutil.rmtree(f"{out}/sd-inpaint", ignore_errors=True)
    init, edges, depth, mask = pictures()
    size = {"height": HEIGHT, "width": WIDTH}
    with torch.no_grad():
        p = Painter(f"{out}/sd")
        weights = {"prompt_embeds": p.context([[("a ", 1.), ("red car", 1.3), (" in the ", 1.), ("rain", 1.1 * 1.1), (" ", 1.), ("town", 1 / 1.1)]], 1),
                   "negative_prompt_embeds": p.context([[("fog", 1.)]], 1)}
        chunks = {"prompt_embeds": p.context([[("a car", 1.)], [("three lanes in fog", 1.)], [("the town", 1.2)]], 6),
                  "negative_prompt_embeds": p.context([[("a bus", 1.)], [("night", 1.)]], 6)}
        plain, inpaint = "StableDiffusionPipeline", "StableDiffusionInpaintPipeline"
        arrays = {
            "seeds": p.paint(plain, "euler", 7, 2, prompt="a red car in the rain, at night", negative_prompt="fog", guidance_scale=3., num_inference_steps=4, **size),
            "weights": p.paint(plain, "euler", 7, 2, guidance_scale=3., num_inference_steps=4, **weights, **size),
            "ancestral": p.paint(plain, "euler-a", 3, 2, prompt="a wet road", guidance_scale=1., num_inference_steps=4, **size),
            "chunks": p.paint(plain, "dpm++2m", 11, guidance_scale=2.5, num_inference_steps=5, **chunks, **size),
            "image": p.paint("StableDiffusionImg2ImgPipeline", "ddim", 5, prompt="the street", image=init, strength=.5, guidance_scale=2., num_inference_steps=6),
            "masked": p.paint(inpaint, "ddim", 6, prompt="a truck", image=init, mask_image=mask, strength=1., guidance_scale=2., num_inference_steps=5, **size),
            "inpainted": p.paint(inpaint, "euler", 8, unet=p.inpaint, prompt="a truck", image=init, mask_image=mask, strength=1., guidance_scale=2., num_inference_steps=4, **size),
            "inpainted_control": p.paint("StableDiffusionControlNetInpaintPipeline", "euler", 8, unet=p.inpaint, branches=["canny"], prompt="a truck", image=init, mask_image=mask,
                                         control_image=edges, controlnet_conditioning_scale=.8, control_guidance_end=.5, strength=1., guidance_scale=2., num_inference_steps=4, **size),
            "controls": p.paint("StableDiffusionControlNetPipeline", "unipc", 9, branches=["canny", "depth"], prompt="houses", image=[edges, depth],
                                controlnet_conditioning_scale=[1., .6], control_guidance_start=[0., .5], control_guidance_end=[1., 1.], guidance_scale=2., num_inference_steps=6, **size),
            "skip": p.paint(plain, "heun", 12, prompt="houses", clip_skip=1, guidance_scale=1., num_inference_steps=2, **size),
            "through": (p.vae.decode(p.vae.encode(init * 2 - 1).latent_dist.mode()).sample * .5 + .5).clamp(0, 1),
        }
    arrays.update(init=init, edges=edges, depth=depth, mask=mask)
    field.save(f"{out}/tensors.safetensors", **arrays)


if __name__ == "__main__":
    import sys
    write(sys.argv[1])
