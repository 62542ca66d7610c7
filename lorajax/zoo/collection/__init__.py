"""A collection: what each LoRA is made from, and the folder that comes of it."""
