"""Reference trajectories of the picture samplers on an analytic denoiser, in fp64, from the papers and with the conventions of
diffusers' schedulers (spacing, first and last steps, one draw of noise per step): Euler and Heun (arXiv 2206.00364), Euler
ancestral (k-diffusion), DPM-Solver++ 2M and its SDE form (2211.01095), DDIM with eta (2010.02502), UniPC (2302.04867), LCM
(2310.04378) and flow matching (2210.02747)."""
import json
import math
import os

import numpy as np

import safetensors_io
from golden_samplers import SHAPE, alphas, denoiser

SPACINGS = {"uniform": "linspace", "leading": "leading", "trailing": "trailing", "karras": "linspace", "exponential": "linspace"}


class Case:
    """A config, a sampler, a spacing; `noise[i]` is the i-th draw."""

    def __init__(self, config, method, steps, spacing="config", eta=None, strength=1., clean=False):
        self.config, self.method, self.steps, self.spacing, self.eta, self.strength, self.clean = config, method, steps, spacing, eta, strength, clean
        self.n, self.kind = config.get("num_train_timesteps", 1000), config.get("prediction_type", "epsilon")
        self.flow = config["_class_name"].startswith("FlowMatch")
        self.a = None if self.flow else alphas(dict(config, _class_name="DDIMScheduler"))
        self.multistep = method in ("dpm++2m", "dpm++2m-sde", "unipc")
        if spacing == "config":
            self.karras, self.exponential = config.get("use_karras_sigmas", False), config.get("use_exponential_sigmas", False)
            self.space = config.get("timestep_spacing", "leading" if method == "ddim" else "linspace")
        else:
            self.karras, self.exponential, self.space = spacing == "karras", spacing == "exponential", SPACINGS[spacing]

    # --- levels

    def times(self):
        n, steps, offset = self.n, self.steps, self.config.get("steps_offset", 0)
        if self.method == "lcm":
            total = self.config.get("original_inference_steps", 50)
            origin = (np.arange(1, total + 1) * (n // total) - 1)[::-1]
            return origin[np.floor(np.linspace(0, total, steps, endpoint=False)).astype(int)]
        if self.space == "trailing":
            return np.arange(n, 0, -n / steps).round()[:steps] - 1
        if self.multistep:
            base = np.linspace(0, n - 1, steps + 1) if self.space == "linspace" else np.arange(steps + 1) * (n // (steps + 1)) + offset
            return base.round()[::-1][:-1]
        base = np.linspace(0, n - 1, steps) if self.space == "linspace" else np.arange(steps) * (n // steps) + offset
        return base[::-1].round() if self.method == "ddim" else base[::-1]

    def sigma_times(self):
        """-> sigmas [steps + 1], timesteps [steps]."""
        if self.flow:
            shift = self.config.get("shift", 1.)
            bend = lambda s: shift * s / (1 + (shift - 1) * s)
            sigmas = bend(np.linspace(1, 1 / self.steps if self.config.get("timestep_spacing") == "trailing" else bend(1 / self.n), self.steps))
            return np.append(sigmas, 0), sigmas * self.n
        product = np.where(self.a > 0, self.a, 2. ** -24)
        trained, times = np.sqrt((1 - product) / product), self.times()
        sigmas = np.interp(times, np.arange(self.n), trained)
        if self.karras or self.exponential:
            high, low = (trained[-1], trained[0]) if self.multistep else (sigmas[0], sigmas[-1])
            share = np.linspace(0, 1, self.steps)
            sigmas = (high ** (1 / 7) * (1 - share) + low ** (1 / 7) * share) ** 7 if self.karras else np.exp(np.log(high) * (1 - share) + np.log(low) * share)
            times = np.interp(np.log(sigmas), np.log(trained), np.arange(self.n))
            if self.multistep:
                times = np.floor(times) if self.exponential else times.round()
        last = trained[0] if self.config.get("final_sigmas_type") == "sigma_min" and self.multistep else 0
        return np.append(sigmas, last), times

    def split(self, sigma):
        return (1 - sigma, sigma) if self.flow else (1 / math.sqrt(1 + sigma ** 2), sigma / math.sqrt(1 + sigma ** 2))

    def lam(self, sigma):
        alpha, s = self.split(sigma)
        return (math.log(alpha) if alpha > 0 else -math.inf) - (math.log(s) if s > 0 else -math.inf)

    def x0(self, x, m, alpha, sigma):
        return {"epsilon": lambda: (x - sigma * m) / alpha, "v_prediction": lambda: alpha * x - sigma * m, "sample": lambda: m,
                "flow_prediction": lambda: x - sigma * m}[self.kind]()

    def first(self):
        return self.steps - min(int(self.steps * self.strength), self.steps)

    # --- samplers: each a list of the samples after every evaluation, from unit noise or from a noised clean sample

    def run(self, clean, noise, draws):
        self.draws = iter(draws)
        by_level = {"euler": self.euler, "euler-a": self.euler, "heun": self.heun, "dpm++2m": self.dpm, "dpm++2m-sde": self.dpm, "unipc": self.unipc}
        return by_level[self.method](clean, noise) if self.method in by_level else self.discrete(clean, noise)

    def start(self, clean, noise, sigmas, exploding):
        s = sigmas[self.first()]
        if self.clean:
            alpha, sigma = (1., s) if exploding else self.split(s)
            return alpha * clean + sigma * noise
        return noise * (1. if not exploding else math.sqrt(s * s + 1) if self.space == "leading" else s)

    def see(self, x, s, t):
        """x0 of a variance-exploding (or flow) sample."""
        if self.flow:
            return self.x0(x, denoiser(x, t), 1 - s, s)
        alpha, sigma = self.split(s)
        return self.x0(x * alpha, denoiser(x * alpha, t), alpha, sigma)

    def euler(self, clean, noise):
        sigmas, times = self.sigma_times()
        x, out = self.start(clean, noise, sigmas, not self.flow), []
        for i in range(self.first(), self.steps):
            s, following = sigmas[i], sigmas[i + 1]
            slope = (x - self.see(x, s, times[i])) / s
            up = 0
            if self.method == "euler-a":
                up = (1 if self.eta is None else self.eta) * math.sqrt(following ** 2 * (s ** 2 - following ** 2) / s ** 2)
            down = math.sqrt(following ** 2 - up ** 2)
            x = x + slope * (down - s) + (up * next(self.draws) if self.method == "euler-a" and self.eta != 0 else 0)
            out.append(x)
        return out

    def heun(self, clean, noise):
        sigmas, times = self.sigma_times()
        x, out = self.start(clean, noise, sigmas, not self.flow), []
        for i in range(self.first(), self.steps):
            s, following = sigmas[i], sigmas[i + 1]
            slope = (x - self.see(x, s, times[i])) / s
            guess = x + slope * (following - s)
            out.append(guess)
            if following > 0:
                other = (guess - self.see(guess, following, times[i + 1])) / following
                guess = x + (slope + other) / 2 * (following - s)
                out.append(guess)
            x = guess
        return out

    def dpm(self, clean, noise):
        sigmas, times = self.sigma_times()
        x, out, seen = self.start(clean, noise, sigmas, False), [], {}
        eta = 0 if self.method == "dpm++2m" else 1 if self.eta is None else self.eta
        for i in range(self.first(), self.steps):
            (alpha, sigma), (alpha_next, sigma_next) = self.split(sigmas[i]), self.split(sigmas[i + 1])
            seen[i] = self.x0(x, denoiser(x, times[i]), alpha, sigma)
            h = self.lam(sigmas[i + 1]) - self.lam(sigmas[i])
            grown = 1 - math.exp(-(1 + eta) * h)
            y = sigma_next / sigma * (math.exp(-eta * h) if eta else 1) * x + alpha_next * grown * seen[i]
            last = i == self.steps - 1 and (self.config.get("euler_at_final") or self.steps < 15 or sigmas[i + 1] == 0)
            if i - 1 in seen and not last and not (self.flow and sigmas[i - 1] >= 1):
                r = (self.lam(sigmas[i]) - self.lam(sigmas[i - 1])) / h
                d1 = (seen[i] - seen[i - 1]) / r
                y = y + (alpha_next * (grown / (-(1 + eta) * h) + 1) * d1 if self.config.get("solver_type") == "heun" else .5 * alpha_next * grown * d1)
            if eta > 0:
                y = y + sigma_next * math.sqrt(1 - math.exp(-2 * eta * h)) * next(self.draws)
            x = y
            out.append(x)
        return out

    def unipc(self, clean, noise):
        sigmas, times = self.sigma_times()
        x, out, seen, before, order = self.start(clean, noise, sigmas, False), [], {}, None, 1
        lams = [self.lam(s) for s in sigmas]

        def parts(a, b):
            (_, sigma), (alpha_next, sigma_next) = self.split(sigmas[a]), self.split(sigmas[b])
            hh = lams[a] - lams[b]
            phi1 = math.expm1(hh)
            return hh, phi1, hh if self.config.get("solver_type") == "bh1" else phi1, alpha_next, sigma_next / sigma

        for i in range(self.first(), self.steps):
            now = self.x0(x, denoiser(x, times[i]), *self.split(sigmas[i]))
            if before is not None:
                hh, phi1, b, alpha_next, ratio = parts(i - 1, i)
                nodes = [] if order == 1 else [(lams[i - 2] - lams[i - 1]) / -hh]
                differences = [(seen[i - 2] - seen[i - 1]) / r for r in nodes]
                rs, phi, factorial, rows, right = np.array(nodes + [1.]), phi1 / hh - 1, 1, [], []
                for k in range(1, order + 1):
                    rows.append(rs ** (k - 1))
                    right.append(phi * factorial / b)
                    factorial *= k + 1
                    phi = phi / hh - 1 / factorial
                weights = np.array([.5]) if order == 1 else np.linalg.solve(np.array(rows), np.array(right))
                total = sum(w * d for w, d in zip(weights, differences + [now - seen[i - 1]]))
                x = ratio * before - alpha_next * phi1 * seen[i - 1] - alpha_next * b * total
            seen[i] = now
            order = min(2, self.steps - i, i - self.first() + 1)
            before = x
            hh, phi1, b, alpha_next, ratio = parts(i, i + 1)
            x = ratio * x - alpha_next * phi1 * seen[i]
            if order > 1:  # in the last step b may be infinite
                x = x - alpha_next * b * .5 * (seen[i - 1] - seen[i]) / ((lams[i - 1] - lams[i]) / -hh)
            out.append(x)
        return out

    def discrete(self, clean, noise):
        """DDIM and LCM, on the training steps themselves."""
        times, out = self.times().astype(int), []
        a = self.a[times[self.first()]]
        x = a ** .5 * clean + (1 - a) ** .5 * noise if self.clean else noise
        for i in range(self.first(), self.steps):
            t, now = times[i], self.a[times[i]]
            m = denoiser(x, float(t))
            x0 = self.x0(x, m, now ** .5, (1 - now) ** .5)
            direction = m if self.kind == "epsilon" else now ** .5 * m + (1 - now) ** .5 * x if self.kind == "v_prediction" else (x - now ** .5 * m) / (1 - now) ** .5
            if self.config.get("clip_sample", self.config["_class_name"] == "DDIMScheduler"):
                limit = self.config.get("clip_sample_range", 1.)
                x0 = x0.clip(-limit, limit)
            if self.method == "lcm":
                skip, kept = .25 / ((t * 10) ** 2 + .25), t * 10 / math.sqrt((t * 10) ** 2 + .25)
                x0 = kept * x0 + skip * x
                x = x0 if i == self.steps - 1 else self.a[times[i + 1]] ** .5 * x0 + (1 - self.a[times[i + 1]]) ** .5 * next(self.draws)
            else:
                before = t - self.n // self.steps
                then = self.a[before] if before >= 0 else 1. if self.config.get("set_alpha_to_one", True) else self.a[0]
                fresh = (self.eta or 0) * math.sqrt((1 - then) / (1 - now) * (1 - now / then))
                x = then ** .5 * x0 + math.sqrt(1 - then - fresh ** 2) * direction + (fresh * next(self.draws) if self.eta else 0)
            out.append(x)
        return out


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
          Case(dict(SD1, _class_name="UniPCMultistepScheduler", solver_type="bh1"), "unipc", 8),
          Case(dict(SD1, _class_name="LCMScheduler", set_alpha_to_one=True), "lcm", 8),
          Case(dict(SD1, _class_name="HeunDiscreteScheduler", use_karras_sigmas=True, timestep_spacing="leading"), "heun", 4)]
CASES += [Case(FLOW, "euler", 5), Case(FLOW, "heun", 4), Case(dict(FLOW, prediction_type="sample", timestep_spacing="trailing"), "dpm++2m", 6)]
CASES += [Case(config, method, 8, strength=.6, clean=True) for config, method in (
    (SD1, "euler"), (SD2, "euler-a"), (SD1, "heun"), (SD1, "dpm++2m"), (SD1, "dpm++2m-sde"), (SD2, "unipc"), (SD1, "ddim"), (SD1, "lcm"), (FLOW, "euler"))]


def write(folder):
    os.makedirs(folder, exist_ok=True)
    random = np.random.default_rng(60)
    clean, noise, draws = random.standard_normal(SHAPE), random.standard_normal(SHAPE), random.standard_normal((20,) + SHAPE)
    clean, noise, draws = (v.astype(np.float32).astype(np.float64) for v in (clean, noise, draws))
    arrays, listed = {"clean": clean, "noise": noise, "draws": draws}, []
    for i, case in enumerate(CASES):
        arrays[f"{i:02d}"] = np.stack(case.run(clean, noise, draws))
        listed.append({"config": case.config, "method": case.method, "spacing": case.spacing, "steps": case.steps, "eta": -1. if case.eta is None else case.eta,
                       "strength": case.strength, "clean": case.clean})
    with open(f"{folder}/cases.json", "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(case) for case in listed) + "\n]\n")
    safetensors_io.write(f"{folder}/tensors.safetensors", {k: v.astype(np.float32) for k, v in arrays.items()})
