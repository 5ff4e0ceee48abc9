"""Writes a training run's averaged weights as a model folder:

    python3 training/export_shape.py RUN/last.pt models/kinora-shape
"""
import sys

import torch

import shape
from tokenizer import Tokenizer


def load(path):
    """-> model with averaged weights, tokenizer, mean boxes of the classes"""
    kept = torch.load(path, weights_only=True)
    tokenizer = Tokenizer(kept["merges"])
    model = shape.Shape(len(tokenizer.vocab)).to(memory_format=torch.channels_last)
    model.load_state_dict(kept["ema"])
    return model.eval(), tokenizer, kept["state"]["means"]


if __name__ == "__main__":
    shape.export(sys.argv[2], *load(sys.argv[1]))
