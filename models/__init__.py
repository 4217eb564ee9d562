"""Model code without Ray and HTTP: arrays in, values out.

Each family (`captioning`, `tagging`, `clip`, `chat`) has one Protocol and two engines, ONNX Runtime
and torch, with the same results on the same bundle.
"""
