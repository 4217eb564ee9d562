"""Writes the ONNX graphs of a bundle's parts beside their weights.

The graphs hold no weights: they read them out of the safetensors files that torch reads too.
"""
