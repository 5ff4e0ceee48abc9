"""Writes a training run's averaged weights as a model folder:

    python3 training/export_style.py RUN/last.pt models/kinora-style
"""
import sys

import torch

import style
from tokenizer import Tokenizer
from train_style import Style


def load(path):
    """-> model with averaged weights, tokenizer"""
    kept = torch.load(path, weights_only=True)
    tokenizer = Tokenizer(kept["merges"])
    model = Style(len(tokenizer.vocab)).to(memory_format=torch.channels_last)
    model.load_state_dict(kept["ema"])
    return model.eval(), tokenizer


if __name__ == "__main__":
    style.export(sys.argv[2], *load(sys.argv[1]))
