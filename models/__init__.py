"""Model code without Ray and without HTTP: arrays in, values out.

Each family (`captioning`, `tagging`, `clip`, `chat`) has one Protocol and two engines,
ONNX Runtime and torch, which give the same result on the same bundle.
"""
