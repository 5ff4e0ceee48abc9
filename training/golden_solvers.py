"""Reference trajectories of the picture samplers, by diffusers' schedulers and k-diffusion (golden_schedulers.py): Euler, Euler
ancestral, Heun, DPM-Solver++ 2M and its SDE form, DDIM with eta, UniPC, LCM and flow matching; one draw of noise per step."""
import json
import os
from dataclasses import dataclass

import numpy as np
import torch
from safetensors.numpy import save_file

import golden_schedulers
from golden_samplers import SHAPE


@dataclass
class Case:
    config: dict
    method: str
    steps: int
    spacing: str = "config"
    eta: float = None  # None: the sampler's own
    strength: float = 1.
    clean: bool = False  # from a clean sample with noise


SD1 = {"_class_name": "PNDMScheduler", "num_train_timesteps": 1000, "beta_start": .00085, "beta_end": .012, "beta_schedule": "scaled_linear",
       "clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1, "prediction_type": "epsilon"}
SD2 = dict(SD1, _class_name="DDIMScheduler", prediction_type="v_prediction")
ZERO = dict(SD2, rescale_betas_zero_snr=True, timestep_spacing="trailing")
X0 = dict(SD1, prediction_type="sample")
FLOW = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 3., "prediction_type": "flow_prediction"}
CASES = [Case(config, method, steps) for method, steps in (("euler", 6), ("euler-a", 6), ("heun", 5), ("dpm++2m", 7), ("dpm++2m-sde", 7), ("unipc", 6), ("ddim", 6), ("lcm", 4))
         for config in (SD1, SD2, X0)]
CASES += [Case(config, method, 5, spacing) for config, method, spacing in (
    (SD1, "euler", "karras"), (SD1, "euler", "exponential"), (SD1, "euler", "leading"), (SD1, "euler", "trailing"), (SD2, "euler-a", "karras"),
    (SD2, "heun", "karras"), (SD1, "heun", "leading"), (SD1, "dpm++2m", "karras"), (SD1, "dpm++2m", "exponential"), (SD2, "dpm++2m", "leading"),
    (SD1, "dpm++2m-sde", "karras"), (SD2, "dpm++2m-sde", "trailing"), (SD1, "unipc", "karras"), (SD2, "unipc", "exponential"), (SD1, "unipc", "leading"),
    (SD1, "ddim", "uniform"), (SD1, "ddim", "trailing"), (ZERO, "ddim", "config"), (ZERO, "euler", "config"), (ZERO, "unipc", "config"),
    (ZERO, "dpm++2m", "config"))]
CASES += [Case(SD1, "ddim", 6, eta=1.), Case(SD2, "ddim", 5, eta=.4), Case(SD1, "euler-a", 5, eta=.5), Case(SD1, "euler-a", 1, "trailing"),
          Case(SD1, "dpm++2m-sde", 6, eta=.5), Case(SD1, "dpm++2m-sde", 20), Case(SD1, "dpm++2m", 18),
          Case(dict(SD1, _class_name="DPMSolverMultistepScheduler", solver_type="heun", final_sigmas_type="sigma_min"), "dpm++2m-sde", 6),
          Case(dict(SD1, _class_name="UniPCMultistepScheduler", solver_type="bh1", final_sigmas_type="sigma_min"), "unipc", 8),
          Case(dict(SD1, _class_name="LCMScheduler", set_alpha_to_one=True), "lcm", 8),
          Case(dict(SD1, _class_name="HeunDiscreteScheduler", use_karras_sigmas=True, timestep_spacing="leading"), "heun", 4)]
CASES += [Case(FLOW, "euler", 5), Case(FLOW, "heun", 4)]
CASES += [Case(config, method, 8, strength=.6, clean=True) for config, method in (
    (SD1, "euler"), (SD2, "euler-a"), (SD1, "heun"), (SD1, "dpm++2m"), (SD1, "dpm++2m-sde"), (SD2, "unipc"), (SD1, "ddim"), (SD1, "lcm"), (FLOW, "euler"))]


def write(folder):
    os.makedirs(folder, exist_ok=True)
    random = np.random.default_rng(60)
    draw = lambda *shape: torch.from_numpy(random.standard_normal(shape).astype(np.float32)).double()
    clean, noise, draws = draw(*SHAPE), draw(*SHAPE), draw(20, *SHAPE)
    arrays, listed = {"clean": clean, "noise": noise, "draws": draws}, []
    for i, case in enumerate(CASES):
        _, states = golden_schedulers.run(case.config, case.method, case.steps, case.spacing, case.eta, case.strength, clean if case.clean else None, noise, draws)
        arrays[f"{i:02d}"] = torch.stack(states)
        listed.append({"config": case.config, "method": case.method, "spacing": case.spacing, "steps": case.steps, "eta": -1. if case.eta is None else case.eta,
                       "strength": case.strength, "clean": case.clean})
    with open(f"{folder}/cases.json", "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(case) for case in listed) + "\n]\n")
    save_file({k: v.float().numpy() for k, v in arrays.items()}, f"{folder}/tensors.safetensors")
