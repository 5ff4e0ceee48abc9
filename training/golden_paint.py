"""A tiny Stable Diffusion folder with random weights (CLIP, UNet, an inpainting UNet, KL autoencoder, two ControlNets) and pictures
painted with it in fp64: weighted and long prompts, guidance, batches, image to image, both kinds of inpainting, ControlNets."""
import json
import os
import shutil

import numpy as np
import torch

import golden_solvers
import golden_tokenizer
import nets
import nets_text
import nets_vae

WIDTH, HEIGHT, FACTOR = 40, 24, 8
SCALING = 0.18215
SHARED = {"in_channels": 4, "block_out_channels": [8, 8], "layers_per_block": 1, "norm_num_groups": 4, "cross_attention_dim": 12, "attention_head_dim": 2,
          "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"], "mid_block_type": "UNetMidBlock2DCrossAttn"}
UNET = dict(SHARED, _class_name="UNet2DConditionModel", out_channels=4, up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"])
CONTROL = dict(SHARED, _class_name="ControlNetModel", conditioning_channels=3, conditioning_embedding_out_channels=[4, 4, 4, 8])
VAE = {"_class_name": "AutoencoderKL", "in_channels": 3, "out_channels": 3, "latent_channels": 4, "block_out_channels": [4, 4, 8, 8], "layers_per_block": 1,
       "norm_num_groups": 4, "scaling_factor": SCALING}
SCHEDULE = golden_solvers.SD1


class Painter:
    def __init__(self, folder, randomise, save_model):
        self.tokenizer = golden_tokenizer.make(f"{folder}/tokenizer", 60)
        text = {"vocab_size": len(self.tokenizer.vocab), "hidden_size": 12, "intermediate_size": 24, "num_attention_heads": 3, "num_hidden_layers": 3,
                "max_position_embeddings": 77, "hidden_act": "quick_gelu"}
        self.text = randomise(nets_text.CLIPTextModel(text), 70)
        self.unet = randomise(nets.UNet2DConditionModel(UNET), 71)
        self.inpaint = randomise(nets.UNet2DConditionModel(dict(UNET, in_channels=9)), 72)
        self.branches = {name: randomise(nets.ControlNetModel(CONTROL), 73 + i) for i, name in enumerate(("canny", "depth"))}
        self.vae = randomise(nets_vae.AutoencoderKL(VAE), 75)
        save_model(f"{folder}/text_encoder", self.text, text, "model")
        save_model(f"{folder}/unet", self.unet, UNET)
        save_model(f"{folder}-inpaint/unet", self.inpaint, dict(UNET, in_channels=9))
        save_model(f"{folder}/vae", self.vae, VAE)
        for name, branch in self.branches.items():
            save_model(f"{folder}/controlnet-{name}", branch, CONTROL)
        os.makedirs(f"{folder}/scheduler", exist_ok=True)
        with open(f"{folder}/scheduler/scheduler_config.json", "w") as file:
            json.dump(SCHEDULE, file, indent=1)
            file.write("\n")

    # --- prompts: chunks given by hand as lists of (text, weight), so that nothing here parses brackets

    def words(self, text):
        ids = self.tokenizer.encode(text)
        return ids[1:ids.index(ids[-1], 1)] if text else []

    def chunk(self, parts, skip):
        start, end = self.tokenizer.vocab[golden_tokenizer.START], self.tokenizer.vocab[golden_tokenizer.END]
        ids, weights = [start], [1.]
        for text, weight in parts:
            tokens = self.words(text)
            ids += tokens
            weights += [weight] * len(tokens)
        ids, weights = (ids + [end] * 77)[:76] + [end], (weights + [1.] * 77)[:77]
        x = self.text.text_model.embeddings(torch.tensor([ids]))
        layers = self.text.text_model.encoder.layers
        for layer in layers[:len(layers) - skip]:
            x = layer(x)
        z = self.text.text_model.final_layer_norm(x)
        if any(w != 1 for w in weights):
            mean = z.mean()
            z = z * torch.tensor(weights, dtype=z.dtype)[None, :, None]
            z = z * (mean / z.mean())
        return z

    def context(self, chunks, skip=0):
        return torch.cat([self.chunk(parts, skip) for parts in chunks], 1)

    # --- pictures

    def encode(self, picture):
        return self.vae.encode(picture[None] * 2 - 1)[:, :4] * SCALING

    def decode(self, latents):
        return (self.vae.decode(latents / SCALING) * .5 + .5).clamp(0, 1)

    def denoiser(self, run):
        calls = [0]

        def predict(x, t):
            step, calls[0] = calls[0], calls[0] + 1
            x, n = torch.from_numpy(np.asarray(x)), len(x)
            seen, unet = x, self.unet
            if run.get("hole") is not None:
                seen, unet = torch.cat([x, run["hole"].expand(n, -1, -1, -1)], 1), self.inpaint

            def one(context):
                time, context, down, mid = torch.full((n,), float(t)), context.expand(n, -1, -1), None, None
                for name, picture, strength, start, end in run.get("controls", []):
                    if step / run["steps"] >= start and (step + 1) / run["steps"] <= end:
                        a, b = self.branches[name](x, time, context, picture.expand(n, -1, -1, -1), strength)
                        down, mid = (a, b) if down is None else ([p + q for p, q in zip(down, a)], mid + b)
                return unet(seen, time, context, down, mid)

            m = one(run["prompt"])
            if run["guidance"] > 1:
                u = one(run["negative"])
                m = u + run["guidance"] * (m - u)
            return m.numpy()

        return predict

    def paint(self, run):
        shape = (1, 4, HEIGHT // FACTOR, WIDTH // FACTOR)
        generators = [torch.Generator().manual_seed(run["seed"] + i) for i in range(run.get("batch", 1))]
        draw = lambda: torch.cat([torch.randn(shape, generator=g) for g in generators]).double().numpy()
        noise, clean = draw(), None
        if run.get("init") is not None:
            clean = self.encode(run["init"]).expand(len(generators), -1, -1, -1).numpy()
        draws = [draw() for _ in range(run["steps"])]
        golden_solvers.denoiser = self.denoiser(run)
        if run.get("mask") is not None:
            latent = self.masked_ddim(run, noise, clean)
        else:
            case = golden_solvers.Case(SCHEDULE, run["method"], run["steps"], strength=run.get("strength", 1.), clean=clean is not None)
            latent = case.run(clean, noise, draws)[-1]
        return self.decode(torch.from_numpy(latent))

    def masked_ddim(self, run, noise, clean):
        a, steps = golden_solvers.alphas(dict(SCHEDULE, _class_name="DDIMScheduler")), run["steps"]
        times = (np.arange(steps) * (1000 // steps))[::-1] + 1
        level = lambda t: a[t] ** .5 * clean + (1 - a[t]) ** .5 * noise
        paint, x = run["mask"], noise
        x = np.where(paint, x, level(times[0]))
        for i, t in enumerate(times):
            m, before = golden_solvers.denoiser(x, t), t - 1000 // steps
            then = a[before] if before >= 0 else a[0]
            x = then ** .5 * (x - (1 - a[t]) ** .5 * m) / a[t] ** .5 + (1 - then) ** .5 * m
            x = np.where(paint, x, clean if i == steps - 1 else level(times[i + 1]))
        return x


def pictures():
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    init = torch.stack([(x * 5 % 256), (y * 8 % 256), ((x + y) * 3 % 256)]).double() / 255
    edges = torch.stack([((x // 6 + y // 4) % 2 * 255)] * 3).double() / 255
    depth = torch.stack([(255 - y * 7) % 256] * 3).double() / 255
    mask = ((x >= 16) & (x < 32) & (y >= 8)).double()
    return init, edges, depth, mask


def make(out, randomise, save_model, save):
    before = golden_solvers.denoiser
    shutil.rmtree(f"{out}/paint/sd", ignore_errors=True)
    painter = Painter(f"{out}/paint/sd", randomise, save_model)
    init, edges, depth, mask = pictures()
    context, no = painter.context, painter.context([[("", 1.)]])
    small = (mask[::FACTOR, ::FACTOR] >= .5).numpy()
    holed = painter.encode(torch.where(mask >= .5, torch.tensor(.5, dtype=torch.float64), init))
    hole = torch.cat([torch.from_numpy(small).double()[None, None], holed], 1)
    base = {"negative": no, "guidance": 1.}
    runs = {
        "weights": dict(base, prompt=context([[("a ", 1.), ("red car", 1.3), (" in the ", 1.), ("rain", 1.1 * 1.1), (" ", 1.), ("town", 1 / 1.1)]]),
                        negative=context([[("fog", 1.)]]), guidance=3., method="euler", steps=4, seed=7, batch=2),
        "ancestral": dict(base, prompt=context([[("a wet road", 1.)]]), method="euler-a", steps=4, seed=3, batch=2),
        "chunks": dict(base, prompt=context([[("a car", 1.)], [("three lanes in fog", 1.)], [("the town", 1.2)]]), negative=context([[("a bus", 1.)], [("night", 1.)]]),
                       guidance=2.5, method="dpm++2m", steps=5, seed=11),
        "image": dict(base, prompt=context([[("the street", 1.)]]), guidance=2., method="ddim", steps=6, seed=5, init=init, strength=.5),
        "masked": dict(base, prompt=context([[("a truck", 1.)]]), guidance=2., method="ddim", steps=5, seed=6, init=init, mask=small),
        "inpainted": dict(base, prompt=context([[("a truck", 1.)]]), guidance=2., method="euler", steps=4, seed=8, hole=hole),
        "inpainted_control": dict(base, prompt=context([[("a truck", 1.)]]), guidance=2., method="euler", steps=4, seed=8, hole=hole, controls=[("canny", edges[None], .8, 0., .5)]),
        "controls": dict(base, prompt=context([[("houses", 1.)]]), guidance=2., method="unipc", steps=6, seed=9,
                         controls=[("canny", edges[None], 1., 0., 1.), ("depth", depth[None], .6, .5, 1.)]),
        "skip": dict(base, prompt=context([[("houses", 1.)]], 1), method="heun", steps=2, seed=12),
    }
    arrays = {name: painter.paint(run) for name, run in runs.items()}
    arrays.update(init=init[None], edges=edges[None], depth=depth[None], mask=mask[None, None], through=painter.decode(painter.encode(init)))
    golden_solvers.denoiser = before
    save(f"{out}/paint/tensors.safetensors", **arrays)
