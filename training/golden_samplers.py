"""Reference trajectories of the samplers on an analytic denoiser, written step by step from the papers and from diffusers'
documented timestep spacing, in fp64: DDIM (arXiv 2010.02502), DPM-Solver++ 2M (2211.01095), Euler in sigma (2206.00364) and
flow matching (2210.02747)."""
import json
import math
import os

import numpy as np

import safetensors_io


def denoiser(x, t):
    """What the C test computes too: smooth in x and in the timestep."""
    return .6 * np.tanh(x) + .25 * math.cos(t * .004) * x


def alphas(config):
    n, low, high = config["num_train_timesteps"], config.get("beta_start", 1e-4), config.get("beta_end", .02)
    kind = config.get("beta_schedule", "linear")
    if kind == "linear":
        betas = np.linspace(low, high, n)
    elif kind == "scaled_linear":
        betas = np.linspace(low ** .5, high ** .5, n) ** 2
    else:
        bar = lambda t: math.cos((t + .008) / 1.008 * math.pi / 2) ** 2
        betas = np.array([min(1 - bar((i + 1) / n) / bar(i / n), .999) for i in range(n)])
    product = np.cumprod(1 - betas)
    if config.get("rescale_betas_zero_snr"):
        root = np.sqrt(product)
        root = (root - root[-1]) * root[0] / (root[0] - root[-1])
        product = root ** 2
        if config["_class_name"] != "DDIMScheduler":
            product[-1] = 2.0 ** -24
    return product


def clean(m, x, alpha, sigma, kind):
    return {"epsilon": lambda: (x - sigma * m) / alpha, "v_prediction": lambda: alpha * x - sigma * m, "sample": lambda: m,
            "flow_prediction": lambda: x - sigma * m}[kind]()


def ddim(config, steps, x):
    a, n, kind = alphas(config), config["num_train_timesteps"], config["prediction_type"]
    spacing = config.get("timestep_spacing", "leading")
    if spacing == "leading":
        times = (np.arange(steps) * (n // steps)).round()[::-1] + config.get("steps_offset", 0)
    elif spacing == "trailing":
        times = np.round(np.arange(n, 0, -n / steps)) - 1
    else:
        times = np.linspace(0, n - 1, steps).round()[::-1]
    out = []
    for t in times.astype(int):
        before = t - n // steps
        now, then = a[t], a[before] if before >= 0 else (1. if config.get("set_alpha_to_one", True) else a[0])
        m = denoiser(x, float(t))
        x0 = clean(m, x, now ** .5, (1 - now) ** .5, kind)
        noise = m if kind == "epsilon" else now ** .5 * m + (1 - now) ** .5 * x if kind == "v_prediction" else (x - now ** .5 * m) / (1 - now) ** .5
        if config.get("clip_sample", True):
            x0 = x0.clip(-config.get("clip_sample_range", 1.), config.get("clip_sample_range", 1.))
        x = then ** .5 * x0 + (1 - then) ** .5 * noise
        out.append(x)
    return 1., out


def karras(sigmas, count):
    high, low = sigmas[0] ** (1 / 7), sigmas[-1] ** (1 / 7)
    return (high + np.linspace(0, 1, count) * (low - high)) ** 7


def sigma_time(sigma, all_sigmas):
    """The fractional training timestep of a sigma, linear in its logarithm."""
    return np.interp(np.log(sigma), np.log(all_sigmas), np.arange(len(all_sigmas)))


def multistep(config, steps, x):
    a, n, kind = alphas(config), config["num_train_timesteps"], config["prediction_type"]
    spacing, offset = config.get("timestep_spacing", "linspace"), config.get("steps_offset", 0)
    if spacing == "linspace":
        times = np.linspace(0, n - 1, steps + 1).round()[::-1][:-1]
    elif spacing == "leading":
        times = (np.arange(steps + 1) * (n // (steps + 1))).round()[::-1][:-1] + offset
    else:
        times = np.arange(n, 0, -n / steps).round() - 1
    all_sigmas = np.sqrt((1 - a) / a)
    sigmas = np.interp(times, np.arange(n), all_sigmas)
    if config.get("use_karras_sigmas"):
        sigmas = karras(all_sigmas[::-1], steps)
        times = np.array([sigma_time(s, all_sigmas) for s in sigmas]).round()
    sigmas = np.append(sigmas, all_sigmas[0] if config.get("final_sigmas_type") == "sigma_min" else 0)
    split = lambda s: (1 / math.sqrt(s * s + 1), s / math.sqrt(s * s + 1))
    out, old, previous = [], None, None
    for i in range(steps):
        (alpha, sigma), (alpha_next, sigma_next) = split(sigmas[i]), split(sigmas[i + 1])
        lam = lambda s: -math.log(s) if s > 0 else math.inf
        h = lam(sigmas[i + 1]) - lam(sigmas[i])
        x0 = clean(denoiser(x, times[i]), x, alpha, sigma, kind)
        first = i == 0 or (i == steps - 1 and (steps < 15 or sigmas[i + 1] == 0))
        decay = math.exp(-h) - 1
        if first:
            x = sigma_next / sigma * x - alpha_next * decay * x0
        else:
            r = (lam(sigmas[i]) - lam(sigmas[i - 1])) / h
            d1 = (x0 - previous) / r
            x = sigma_next / sigma * x - alpha_next * decay * x0
            x = x + (alpha_next * (decay / h + 1) * d1 if config.get("solver_type") == "heun" else -.5 * alpha_next * decay * d1)
        previous = x0
        out.append(x)
    return 1., out


def euler(config, steps, noise):
    a, n, kind = alphas(config), config["num_train_timesteps"], config["prediction_type"]
    spacing = config.get("timestep_spacing", "linspace")
    if spacing == "linspace":
        times = np.linspace(0, n - 1, steps)[::-1]
    elif spacing == "leading":
        times = (np.arange(steps) * (n // steps)).round()[::-1] + config.get("steps_offset", 0)
    else:
        times = np.arange(n, 0, -n / steps).round() - 1
    all_sigmas = np.sqrt((1 - a) / a)
    sigmas = np.interp(times, np.arange(n), all_sigmas)
    if config.get("use_karras_sigmas"):
        sigmas = karras(sigmas, steps)
        times = np.array([sigma_time(s, all_sigmas) for s in sigmas])
    sigmas = np.append(sigmas, 0)
    scale = math.sqrt(sigmas[0] ** 2 + 1) if spacing == "leading" else sigmas[0]
    x, out = noise * scale, []
    for i in range(steps):
        s = sigmas[i]
        m = denoiser(x / math.sqrt(s * s + 1), times[i])
        x0 = x - s * m if kind == "epsilon" else x / (s * s + 1) - m * s / math.sqrt(s * s + 1) if kind == "v_prediction" else m
        x = x + (x - x0) / s * (sigmas[i + 1] - s)
        out.append(x)
    return scale, out


def flow(config, steps, x):
    n, shift = config["num_train_timesteps"], config.get("shift", 1.)
    bend = lambda s: shift * s / (1 + (shift - 1) * s)
    trailing = config.get("timestep_spacing", "trailing" if config["prediction_type"] == "sample" else "linspace") == "trailing"
    base = np.linspace(1, 1 / steps, steps) if trailing else np.linspace(n * bend(1.), n * bend(1 / n), steps) / n
    sigmas, out = np.append(bend(base), 0), []
    for i in range(steps):
        m = denoiser(x, sigmas[i] * n)
        velocity = m if config["prediction_type"] == "flow_prediction" else (x - m) / sigmas[i]
        x = x + (sigmas[i + 1] - sigmas[i]) * velocity
        out.append(x)
    return 1., out


RUNS = {"DDIMScheduler": ddim, "DPMSolverMultistepScheduler": multistep, "EulerDiscreteScheduler": euler, "FlowMatchEulerDiscreteScheduler": flow}
SD = {"num_train_timesteps": 1000, "beta_start": .00085, "beta_end": .012, "beta_schedule": "scaled_linear"}
CASES = [
    (dict(SD, _class_name="DDIMScheduler", prediction_type="epsilon", clip_sample=False, set_alpha_to_one=False, steps_offset=1), 7),
    (dict(SD, _class_name="DDIMScheduler", prediction_type="v_prediction", clip_sample=False, timestep_spacing="trailing", rescale_betas_zero_snr=True), 5),
    (dict(SD, _class_name="DDIMScheduler", prediction_type="sample", timestep_spacing="linspace"), 6),
    (dict(num_train_timesteps=500, _class_name="DDIMScheduler", prediction_type="epsilon", clip_sample_range=.8), 4),
    (dict(SD, _class_name="DPMSolverMultistepScheduler", prediction_type="epsilon"), 9),
    (dict(SD, _class_name="DPMSolverMultistepScheduler", prediction_type="v_prediction", use_karras_sigmas=True), 20),
    (dict(SD, _class_name="DPMSolverMultistepScheduler", prediction_type="epsilon", timestep_spacing="leading", steps_offset=1, solver_type="heun"), 8),
    (dict(num_train_timesteps=1000, _class_name="DPMSolverMultistepScheduler", beta_schedule="squaredcos_cap_v2", prediction_type="sample",
          timestep_spacing="trailing", final_sigmas_type="sigma_min"), 16),
    (dict(SD, _class_name="EulerDiscreteScheduler", prediction_type="epsilon"), 6),
    (dict(SD, _class_name="EulerDiscreteScheduler", prediction_type="v_prediction", timestep_spacing="leading", steps_offset=1), 7),
    (dict(SD, _class_name="EulerDiscreteScheduler", prediction_type="sample", timestep_spacing="trailing", use_karras_sigmas=True), 5),
    (dict(num_train_timesteps=1000, _class_name="FlowMatchEulerDiscreteScheduler", prediction_type="flow_prediction", shift=3.0), 5),
    (dict(num_train_timesteps=1000, _class_name="FlowMatchEulerDiscreteScheduler", prediction_type="sample"), 4),
    (dict(num_train_timesteps=1000, _class_name="FlowMatchEulerDiscreteScheduler", prediction_type="sample", timestep_spacing="linspace", shift=.5), 3),
]
SHAPE = (3, 3, 3, 5)


def write(folder):
    os.makedirs(folder, exist_ok=True)
    noise = np.random.default_rng(50).standard_normal(SHAPE)
    arrays = {"noise": noise}
    for i, (config, steps) in enumerate(CASES):
        with open(f"{folder}/{i:02d}.json", "w") as file:
            json.dump(config, file, indent=1)
            file.write("\n")
        scale, states = RUNS[config["_class_name"]](config, steps, noise.copy())
        arrays[f"{i:02d}"] = np.stack(states)
        arrays[f"{i:02d}.scale"] = np.array([scale])
    safetensors_io.write(f"{folder}/tensors.safetensors", {k: v.astype(np.float32) for k, v in arrays.items()})
