"""Checkpoints with random weights, in the files and configurations of public ones.

One module a family. Tests compare engines on them; benchmarks pay what public weights would cost.
Random weights as transformers draws them score everything nearly alike, and any rounding would then
decide: each module makes its own so that every decision is clear. They know nothing of photos.
"""
