"""Builds and binds fused.c: group_norm_silu(x, gamma, beta, groups, eps, silu) with gradients, for bf16 channels-last tensors."""
import ctypes
import os
import subprocess
import tempfile

import torch


def build():
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fused.c")
    target = os.path.join(tempfile.gettempdir(), f"kinora-fused-{os.getuid()}-{int(os.path.getmtime(source))}.so")
    if not os.path.exists(target):
        part = f"{target}.{os.getpid()}"
        subprocess.run(["gcc", "-O3", "-march=native", "-ffast-math", "-shared", "-fPIC", source, "-o", part, "-lm"], check=True)
        os.replace(part, target)
    return ctypes.CDLL(target)


library = build()


def pointer(tensor):
    return ctypes.c_void_p(tensor.data_ptr())


class GroupNormSilu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, gamma, beta, groups, eps, silu):
        x = x.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
        n, c, h, w = x.shape
        y = torch.empty_like(x)
        mean, rstd = torch.empty(n, groups), torch.empty(n, groups)
        library.group_norm_forward(pointer(x), pointer(y), pointer(gamma), pointer(beta), pointer(mean), pointer(rstd),
                                   n, h * w, c, groups, ctypes.c_float(eps), int(silu))
        ctx.save_for_backward(x, gamma, beta, mean, rstd)
        ctx.silu = silu
        return y

    @staticmethod
    def backward(ctx, dy):
        x, gamma, beta, mean, rstd = ctx.saved_tensors
        dy = dy.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
        n, c, h, w = x.shape
        dx, scratch = torch.empty_like(x), torch.empty(h * w, c)
        dgamma, dbeta = torch.zeros_like(gamma), torch.zeros_like(beta)
        library.group_norm_backward(pointer(x), pointer(dy), pointer(dx), pointer(gamma), pointer(beta), pointer(mean),
                                    pointer(rstd), pointer(dgamma), pointer(dbeta), pointer(scratch), n, h * w, c,
                                    mean.shape[1], int(ctx.silu))
        return dx, dgamma, dbeta, None, None, None


def group_norm_silu(x, norm, silu):
    return GroupNormSilu.apply(x, norm.weight, norm.bias, norm.num_groups, norm.eps, silu)
