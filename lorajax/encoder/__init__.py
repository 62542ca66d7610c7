"""Encoder: features come in, unit vectors go out.

`model` is the Flax NNX network, `embedder` an encoder ready for use: its parameters,
the normalisation of its input and one compiled call.
"""
