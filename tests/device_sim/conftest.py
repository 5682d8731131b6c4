"""Trainings here are many small steps: more threads than one only get in each other's way."""

import torch

torch.set_num_threads(1)
