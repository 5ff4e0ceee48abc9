"""Writes a training run's averaged weights as a model folder:

    python3 training/export.py RUN/last.pt ENCODER.pt DECODER.pt models/kinora-nano
"""
import sys

import torch

import autoencoder
import nano
from preview import load


def part(network, path):
    network.load_state_dict(torch.load(path, weights_only=True)["model"])
    return network


model, tokenizer = load(sys.argv[1])
nano.export(sys.argv[4], model, tokenizer, part(autoencoder.Encoder(), sys.argv[2]), part(autoencoder.Decoder(), sys.argv[3]))
