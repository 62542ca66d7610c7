"""The base model: procedural scenes, a text-conditioned flow, training, weights."""
