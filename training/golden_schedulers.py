"""Trajectories on an analytic denoiser by the field's own samplers: diffusers' schedulers, and k-diffusion's functions where diffusers
has no eta or does not take the prediction type. Nothing here computes a step itself."""
import importlib.util
import math
import sys
import types

import diffusers
import numpy as np
import torch
from diffusers.utils import torch_utils  # noqa: F401 (imported before the schedulers' names are replaced)

CLASSES = {"euler": "EulerDiscreteScheduler", "euler-a": "EulerAncestralDiscreteScheduler", "heun": "HeunDiscreteScheduler", "dpm++2m": "DPMSolverMultistepScheduler",
           "dpm++2m-sde": "DPMSolverMultistepScheduler", "unipc": "UniPCMultistepScheduler", "ddim": "DDIMScheduler", "lcm": "LCMScheduler"}
FLOW_CLASSES = {"euler": "FlowMatchEulerDiscreteScheduler", "heun": "FlowMatchHeunDiscreteScheduler"}
SPACINGS = {"uniform": "linspace", "leading": "leading", "trailing": "trailing", "karras": "linspace", "exponential": "linspace"}


def denoiser(x, t):
    """What the C test computes too: smooth in x and in the timestep."""
    return .6 * torch.tanh(x) + .25 * math.cos(float(t) * .004) * x


def scheduler_of(config, method, spacing):
    changes = {}
    if spacing != "config":
        changes = {"use_karras_sigmas": spacing == "karras", "use_exponential_sigmas": spacing == "exponential", "timestep_spacing": SPACINGS[spacing]}
    elif "timestep_spacing" not in config and method in ("euler", "euler-a", "heun", "dpm++2m", "dpm++2m-sde", "unipc"):
        changes = {"timestep_spacing": "linspace"}  # Kinora's own when a config of another class names none; diffusers' default for each of these
    if method == "dpm++2m-sde":
        changes["algorithm_type"] = "sde-dpmsolver++"
    if method == "unipc" and config.get("solver_type") not in ("bh1", "bh2"):
        changes["solver_type"] = "bh2"
    name = (FLOW_CLASSES if config["_class_name"].startswith("FlowMatch") else CLASSES)[method]
    return getattr(diffusers, name).from_config({k: v for k, v in config.items() if k != "_class_name"}, **changes)


def set_times(scheduler, config, steps):
    if config["_class_name"].startswith("FlowMatch") and config.get("timestep_spacing", "trailing" if config.get("prediction_type") == "sample" else "") == "trailing":
        scheduler.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps))  # as pipelines of one-shot models give them
    elif isinstance(scheduler, diffusers.LCMScheduler):
        scheduler.set_timesteps(steps, original_inference_steps=config.get("original_inference_steps", 50))
    else:
        scheduler.set_timesteps(steps)


class Draws:
    """Gives noise in the order of the draws, in place of the schedulers' randn_tensor."""

    def __init__(self, draws):
        self.left = iter(draws)

    def __call__(self, shape, **settings):
        return torch.as_tensor(next(self.left))


def run(config, method, steps, spacing, eta, strength, clean, noise, draws):
    """-> the scale of unit noise at the start, and the samples after every evaluation."""
    flow = config["_class_name"].startswith("FlowMatch")
    kind = config.get("prediction_type", "flow_prediction" if flow else "epsilon")
    spread = method == "euler-a" and spacing in ("karras", "exponential")  # which diffusers' class does not have
    if (eta is not None and method != "ddim") or (kind == "sample" and method in ("euler-a", "heun")) or spread:
        return by_k_diffusion(config, method, steps, spacing, eta, strength, clean, noise, draws)
    scheduler = scheduler_of(config, method, spacing)
    set_times(scheduler, config, steps)
    if spacing == "exponential" and method in ("dpm++2m", "unipc"):
        scheduler.timesteps[0] = 999  # cut off to 998 there, since exp(log(sigma)) is a rounding below the last training sigma
    order = scheduler.order if method == "heun" else 1
    first = (steps - min(int(steps * strength), steps)) * order
    times = scheduler.timesteps[first:]
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)
    scale = 1. if flow else float(scheduler.init_noise_sigma)
    if clean is None:
        x = noise * scale
    else:
        x = scheduler.scale_noise(clean, times[:1], noise) if flow else scheduler.add_noise(clean, noise, times[:1])
    module, out, left = sys.modules[type(scheduler).__module__], [], Draws(draws)
    kept, module.randn_tensor = getattr(module, "randn_tensor", None), left
    for t in times:
        seen = scheduler.scale_model_input(x, t) if not flow else x
        m = denoiser(seen, t)
        if flow and kind == "sample":  # FlowMatch schedulers take velocities
            sigma = scheduler.sigmas[scheduler.step_index if scheduler.step_index is not None else first]
            m = (x - m) / sigma
        more = {"eta": eta, "variance_noise": left(None) if eta else None} if method == "ddim" and eta else {}
        x = scheduler.step(m, t, x, **more).prev_sample
        out.append(x)
    module.randn_tensor = kept
    return scale, out


# --- k-diffusion ------------------------------------------------------------------------------------------------------------------------

def k_sampling():
    """k_diffusion/sampling.py alone: the package itself asks for much that sampling does not need."""
    if "k_diffusion.sampling" in sys.modules:
        return sys.modules["k_diffusion.sampling"]
    for name, members in (("scipy", ["integrate"]), ("torchdiffeq", ["odeint"]), ("torchsde", []), ("k_diffusion", []), ("k_diffusion.utils", ["append_zero", "append_dims"])):
        if name not in sys.modules:
            sys.modules[name] = types.ModuleType(name)
            for member in members:
                setattr(sys.modules[name], member, None)
    package = next(p for p in (f"{path}/k_diffusion" for path in sys.path) if importlib.util.spec_from_file_location("x", p + "/sampling.py") and __import__("os").path.exists(p + "/sampling.py"))
    sys.modules["k_diffusion"].__path__ = [package]
    utils = sys.modules["k_diffusion.utils"]
    utils.append_zero = lambda x: torch.cat([x, x.new_zeros([1])])
    utils.append_dims = lambda x, dims: x[(...,) + (None,) * (dims - x.ndim)]
    sys.modules["k_diffusion"].utils = utils
    spec = importlib.util.spec_from_file_location("k_diffusion.sampling", package + "/sampling.py")
    module = sys.modules["k_diffusion.sampling"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def by_k_diffusion(config, method, steps, spacing, eta, strength, clean, noise, draws):
    """Levels and timesteps are diffusers'; the samplers work on x0 + sigma noise."""
    levels = "euler" if method == "euler-a" and spacing in ("karras", "exponential") else method
    scheduler = scheduler_of(dict(config, prediction_type="epsilon"), levels, spacing)
    set_times(scheduler, config, steps)
    sigmas, times = scheduler.sigmas.double(), scheduler.timesteps.double()
    if method == "heun":  # diffusers repeats the inner levels
        sigmas, times = torch.cat([sigmas[:1], sigmas[1:-1:2], sigmas[-1:]]), torch.cat([times[:1], times[1::2]])
    kind, states, first = config.get("prediction_type", "epsilon"), [], steps - min(int(steps * strength), steps)
    exploding = method in ("euler-a", "heun")

    def model(x, sigma, **more):
        s = sigma[0]
        alpha = 1 / (s * s + 1).sqrt()
        t = times[int((sigmas[:-1] - s).abs().argmin())]
        if states is not None and not states or not torch.equal(states[-1], x):
            states.append(x)
        m = denoiser(x * alpha, t)
        return {"epsilon": lambda: x - s * m, "v_prediction": lambda: x * alpha ** 2 - s * alpha * m, "sample": lambda: m}[kind]()

    left = iter(draws)
    sampling, levels = k_sampling(), sigmas[first:]
    scale = float(scheduler.init_noise_sigma)
    start = levels[0] * noise if clean is None else clean + levels[0] * noise
    if clean is None and exploding:
        start = scale * noise
    elif clean is None:
        start = noise * (levels[0] ** 2 + 1).sqrt()
    draw = lambda a, b: next(left)
    if method == "heun":
        last = sampling.sample_heun(model, start, levels, disable=True)
    elif method == "euler-a":
        last = sampling.sample_euler_ancestral(model, start, levels, eta=1. if eta is None else eta, disable=True, noise_sampler=draw)
    else:
        last = sampling.sample_dpmpp_2m_sde(model, start, levels, eta=eta, disable=True, noise_sampler=draw, solver_type=config.get("solver_type", "midpoint"))
    states = states[1:] + [last]
    if not exploding:  # Kinora's multistep samplers, as diffusers', work on alpha x0 + sigma noise
        states = [x / (s * s + 1).sqrt() for x, s in zip(states, levels[1:])]
    return scale, states
