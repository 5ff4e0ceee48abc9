"""The looks that the style network learns: pictures [3, H, W] in 0..1, sRGB-encoded -> pictures. Made for training targets only;
the network that ships sees none of this and draws the look from noise.

Built from published parts: structure tensor and flow-based difference of Gaussians (XDoG, Winnemoeller et al. 2012), generalised
Kuwahara filter (Papari et al. 2007), line integral convolution (Cabral and Leedom 1993). What is random in a look (grain, hatching,
bristles) takes fresh noise each time, so that it must come from the network's own noise.
"""
import math

import torch
from torch.nn import functional as F

LUMA = torch.tensor([.299, .587, .114])[:, None, None]


def blur(x, sigma):
    """Gaussian blur of [C, H, W], edges repeated."""
    if sigma <= 0:
        return x
    radius = max(1, math.ceil(3 * sigma))
    k = torch.exp(-.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    k = (k / k.sum())[None, None]
    y = x[:, None]
    y = F.conv2d(F.pad(y, (radius, radius, 0, 0), mode="replicate"), k[:, :, None])
    return F.conv2d(F.pad(y, (0, 0, radius, radius), mode="replicate"), k[..., None])[:, 0]


def luma(x):
    return (x * LUMA).sum(0, keepdim=True)


def smoothstep(a, b, x):
    t = ((x - a) / (b - a)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def tangents(x, sigma=2.5, rest=-.6):
    """Direction along edges [2, H, W] (x, y), unit length, and anisotropy [H, W]; where nothing is seen it is angle `rest`."""
    gx = blur((F.pad(x, (0, 1, 0, 0), mode="replicate") - F.pad(x, (1, 0, 0, 0), mode="replicate"))[..., :-1], .8)
    gy = blur((F.pad(x, (0, 0, 0, 1), mode="replicate") - F.pad(x, (0, 0, 1, 0), mode="replicate"))[:, :-1], .8)
    e, f, g = (blur(v.sum(0, keepdim=True), sigma)[0] for v in (gx * gx, gx * gy, gy * gy))
    e, f, g = (v + 6e-5 * k for v, k in ((e, math.sin(rest) ** 2), (f, -math.sin(rest) * math.cos(rest)), (g, math.cos(rest) ** 2)))
    root = ((e - g) ** 2 + 4 * f * f).clamp(min=1e-14).sqrt()
    angle = .5 * torch.atan2(2 * f, e - g) + math.pi / 2
    return torch.stack([torch.cos(angle), torch.sin(angle)]), root / (e + g + 1e-6)


def sample(x, px, py):
    h, w = x.shape[1:]
    grid = torch.stack([px / (w - 1) * 2 - 1, py / (h - 1) * 2 - 1], -1)[None]
    return F.grid_sample(x[None], grid, mode="bilinear", padding_mode="border", align_corners=True)[0]


def along(x, t, sigma, step=None):
    """Gaussian smoothing of [C, H, W] along the direction field t: line integral convolution."""
    step = step or (1.0 if sigma < 4 else 1.6)
    h, w = x.shape[1:]
    y0, x0 = torch.meshgrid(torch.arange(h).float(), torch.arange(w).float(), indexing="ij")
    total, weight = x.clone(), 1.0
    for sign in (1, -1):
        px, py, d = x0, y0, t * sign
        for i in range(1, math.ceil(2 * sigma / step) + 1):
            px, py = px + step * d[0], py + step * d[1]
            k = math.exp(-.5 * (i * step / sigma) ** 2)
            total, weight = total + k * sample(x, px, py), weight + k
            n = sample(t, px, py)
            n = n * torch.sign((n * d).sum(0, keepdim=True))
            d = n / n.norm(dim=0, keepdim=True).clamp(min=1e-3)
    return total / weight


def dog_lines(x, t, sigma=1.0, tau=.98, eps=.01, phi=60, length=3.0):
    """1 on lines, 0 elsewhere: flow-based DoG, thresholded softly."""
    g = luma(x)
    d = blur(g, sigma) - tau * blur(g, 1.6 * sigma)
    d = along(d, t, length)
    return 1 - torch.where(d > eps, torch.ones_like(d), 1 + torch.tanh(phi * (d - eps))).clamp(0, 1)


def kuwahara(x, radius, q=8, sectors=8):
    """Generalised Kuwahara filter of [C, H, W]."""
    r = int(radius * 1.5)
    v, u = torch.meshgrid(torch.arange(-r, r + 1).float(), torch.arange(-r, r + 1).float(), indexing="ij")
    gauss = torch.exp(-.5 * (u * u + v * v) / (radius / 1.5) ** 2)
    angle = torch.atan2(v, u)
    kernels = []
    for i in range(sectors):
        d = torch.remainder(angle - 2 * math.pi * i / sectors + math.pi, 2 * math.pi) - math.pi
        k = gauss * torch.exp(-.5 * (d / (math.pi / sectors)) ** 2)
        k[r, r] = gauss[r, r] / sectors
        kernels.append(k / k.sum())
    k = torch.stack(kernels)[:, None]
    p = F.pad(x[:, None], (r, r, r, r), mode="replicate")
    mean, square = F.conv2d(p, k), F.conv2d(p * p, k)
    deviation = (square - mean * mean).clamp(min=0).sum(0, keepdim=True).sqrt()
    weight = 1 / (1 + (255 * deviation).pow(.5 * q))
    return (mean * weight).sum(1) / weight.sum(1)


def saturate(x, amount):
    g = luma(x)
    return (g + (x - g) * amount).clamp(0, 1)


def steps(g, levels, sharp):
    """Tone [1, H, W] in soft steps at the levels' middles."""
    out = torch.full_like(g, levels[0])
    for a, b in zip(levels, levels[1:]):
        middle = .5 * (a + b)
        out = out + (b - a) * torch.sigmoid((g - middle) * sharp)
    return out


def relight(x, tone):
    """Pictures with another luma, the chroma kept in proportion."""
    g = luma(x)
    ratio = tone / g.clamp(min=.04)
    return (tone + (x - g) * ratio.clamp(.5, 2.2)).clamp(0, 1)


def stretch(x):
    """More contrast, the same for all pictures, so that light does not pump over a shot."""
    return (.25 * x + .75 * smoothstep(-.04, .96, x)).clamp(0, 1)


def value_noise(shape, cell, generator):
    h, w = shape
    n = torch.randn(1, 1, math.ceil(h / cell) + 3, math.ceil(w / cell) + 3, generator=generator)
    return F.interpolate(n, scale_factor=cell, mode="bicubic")[0, :, :h, :w]


# --- the looks -----------------------------------------------------------------------------------------------------------

def anime(x, generator, edges=None):
    """Cel animation: few flat tones, cool shadows, fine dark lines."""
    x = stretch(x)
    t, _ = tangents(x)
    flat = kuwahara(kuwahara(x, 3), 4)
    g = along(luma(flat), t, 4)
    tone = steps(g, (.10, .36, .64, .93), 70)
    colour = saturate(relight(flat, tone), 1.7)
    shade = 1 - smoothstep(.25, .55, tone)
    cool = torch.tensor([.90, .88, 1.16])[:, None, None]
    colour = (colour * (1 - shade * .6 + shade * .6 * cool) + shade * torch.tensor([.02, .015, .07])[:, None, None]).clamp(0, 1)
    light = smoothstep(.7, .95, tone)
    colour = colour + light * (1 - colour) * torch.tensor([.25, .22, .12])[:, None, None]
    lines = torch.maximum(dog_lines(x, t, .8, .985, -.003, 80, 2.5), .8 * dog_lines(x, t, 1.4, .985, -.010, 70, 3))
    if edges is not None:
        lines = torch.maximum(lines, .85 * edges)
    ink = torch.tensor([.10, .06, .12])[:, None, None]
    return colour * (1 - lines) + ink * lines


def ink(x, generator, edges=None):
    """Ink and wash: brushed contours, three dilutions that pool at their borders, warm paper."""
    x = stretch(x)
    h, w = x.shape[1:]
    t, _ = tangents(x, 3.5)
    grain = .5 * value_noise((h, w), 1, generator) + .8 * value_noise((h, w), 3, generator) + value_noise((h, w), 9, generator)
    g = luma(kuwahara(x, 6)) + .018 * grain + .02 * value_noise((h, w), 14, generator)
    wash = torch.zeros(1, h, w)
    for level, dark, soft in ((.74, .13, 26), (.50, .22, 34), (.25, .42, 40)):
        region = torch.sigmoid((level - along(g, t, 3)) * soft)
        pool = (region * (1 - blur(region, 3.5))).clamp(0, 1) * 1.1
        wash = wash + dark * region + .35 * dark * pool * 2
    broad = dog_lines(x, t, 1.7, .99, -.014, 55, 6)
    fine = dog_lines(x, t, .8, .985, -.004, 60, 3)
    dry = torch.sigmoid((along(value_noise((h, w), 1, generator), t, 5) * 2.6 + 1.6) * 2)
    stroke = (torch.maximum(broad, .75 * fine) * (.55 + .45 * dry)).clamp(0, 1)
    if edges is not None:
        stroke = torch.maximum(stroke, .7 * edges)
    density = (wash * (1 + .05 * grain) + .95 * stroke).clamp(0, 1)
    paper = torch.tensor([.955, .93, .87])[:, None, None] * (1 + .012 * (value_noise((h, w), 1, generator) + value_noise((h, w), 2, generator)))
    black = torch.tensor([.07, .075, .10])[:, None, None]
    return (paper * (1 - density) + black * density).clamp(0, 1)


def gouache(x, generator, edges=None):
    """Gouache: opaque patches with bristle marks along the forms, rich colour, no lines."""
    x = stretch(x)
    h, w = x.shape[1:]
    t, _ = tangents(x, 4)
    patches = kuwahara(along(kuwahara(x, 4), t, 3), 4)
    g = luma(patches)
    tone = .35 * g + .65 * steps(g, (.10, .26, .44, .62, .80, .95), 55)
    colour = saturate(relight(patches, tone), 1.65)
    bristle = along(value_noise((h, w), 2, generator), t, 7)
    bristle = (bristle / bristle.std()).clamp(-2.2, 2.2)
    mottle = along(value_noise((h, w), 5, generator), t, 8)
    shift = torch.tensor([1.0, .85, .6])[:, None, None]
    warm = torch.tensor([.035, .01, -.035])[:, None, None] * smoothstep(.2, .8, g)
    return (colour + warm + shift * (.030 * bristle + .035 * mottle)).clamp(0, 1)


def pencil(x, generator, edges=None):
    """Pencil: graphite contours, hatching in two directions by tone, paper grain."""
    x = stretch(x)
    h, w = x.shape[1:]
    t, _ = tangents(x, 2)
    g = luma(kuwahara(x, 4))
    hatch = torch.zeros(1, h, w)
    for angle, level, amount in ((2.35, .80, .42), (2.0, .50, .45), (.75, .28, .5)):
        d = torch.tensor([math.cos(angle), math.sin(angle)])[:, None, None].expand(2, h, w)
        lines = along(value_noise((h, w), 1, generator), d, 8)
        lines = torch.sigmoid((lines / lines.std() + .1) * 2.2)
        hatch = hatch + amount * lines * smoothstep(level + .12, level - .22, g)
    contour = (.9 * dog_lines(x, t, .9, .985, -.003, 70, 3) + .6 * dog_lines(x, t, 1.7, .985, -.008, 55, 5)).clamp(0, 1)
    if edges is not None:
        contour = torch.maximum(contour, .6 * edges)
    tooth = torch.sigmoid(1.5 * value_noise((h, w), 1, generator) + 1.2)
    density = (1 - (1 - hatch.clamp(0, 1) * (.6 + .4 * tooth)) * (1 - contour * (.75 + .25 * tooth))) * .9
    paper = torch.tensor([.965, .96, .945])[:, None, None] + .008 * value_noise((h, w), 2, generator)
    lead = torch.tensor([.17, .17, .19])[:, None, None]
    return (paper * (1 - density) + lead * density).clamp(0, 1)


def clay(x, generator, edges=None):
    """Clay: rounded lumps of saturated colour, soft light from the upper left, dents, dark grooves between forms."""
    x = stretch(x)
    h, w = x.shape[1:]
    flat = kuwahara(kuwahara(x, 3), 4)
    g = luma(flat)
    colour = saturate(relight(flat, .22 + .68 * steps(g, (.08, .3, .55, .8, 1.0), 30)), 1.5)
    pastel = colour * .86 + .08
    contrast = (flat - blur(flat, 1.6)).abs().sum(0, keepdim=True)
    groove = smoothstep(.03, .20, blur(contrast, 1.0))
    height = 2.2 * blur(1 - groove, 1.7) + 1.2 * blur(g, 2) + .16 * value_noise((h, w), 12, generator) + .05 * value_noise((h, w), 5, generator)
    height = blur(height, 1)
    nx = (F.pad(height, (0, 1, 0, 0), mode="replicate") - F.pad(height, (1, 0, 0, 0), mode="replicate"))[..., :-1] * 3.2
    ny = (F.pad(height, (0, 0, 0, 1), mode="replicate") - F.pad(height, (0, 0, 1, 0), mode="replicate"))[:, :-1] * 3.2
    n = torch.cat([-nx, -ny, torch.ones_like(nx)])
    n = n / n.norm(dim=0, keepdim=True)
    light = torch.tensor([-.5, -.62, .6])[:, None, None]
    diffuse = (n * light).sum(0, keepdim=True).clamp(min=0)
    half = torch.tensor([-.28, -.35, .89])[:, None, None]
    gloss = (n * half).sum(0, keepdim=True).clamp(min=0) ** 40
    shade = .50 + .80 * diffuse
    return (pastel * shade * (1 - .45 * groove) + .10 * gloss * (1 - groove)).clamp(0, 1)


LOOKS = {"anime": anime, "ink": ink, "gouache": gouache, "pencil": pencil, "clay": clay}
