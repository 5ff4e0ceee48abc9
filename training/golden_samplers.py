"""Reference trajectories of the samplers that the device steps, by diffusers' schedulers (golden_schedulers.py)."""
import os

import numpy as np
import torch
from safetensors.numpy import save_file

import field
import golden_schedulers

METHODS = {"DDIMScheduler": "ddim", "DPMSolverMultistepScheduler": "dpm++2m", "EulerDiscreteScheduler": "euler", "FlowMatchEulerDiscreteScheduler": "euler"}
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
    noise = torch.from_numpy(np.random.default_rng(50).standard_normal(SHAPE).astype(np.float32)).double()
    arrays = {"noise": noise.numpy()}
    for i, (config, steps) in enumerate(CASES):
        field.write_json(f"{folder}/{i:02d}.json", config)
        scale, states = golden_schedulers.run(config, METHODS[config["_class_name"]], steps, "config", None, 1., None, noise, [])
        arrays[f"{i:02d}"], arrays[f"{i:02d}.scale"] = torch.stack(states).numpy(), np.array([scale])
    os.makedirs(folder, exist_ok=True)
    save_file({k: v.astype(np.float32) for k, v in arrays.items()}, f"{folder}/tensors.safetensors")
