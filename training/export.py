"""Writes a training run's averaged weights as a model folder: python3 training/export.py RUN/last.pt models/kinora-nano"""
import sys

import torch

import nano
from tokenizer import Tokenizer
from train import Nano

kept = torch.load(sys.argv[1], map_location="cpu")
tokenizer = Tokenizer(kept["merges"])
model = Nano(len(tokenizer.vocab))
model.load_state_dict(kept["ema"])
nano.export(sys.argv[2], model.unet, model.controlnet, model.text, tokenizer,
            kept["state"]["stage"] == "consistency")
