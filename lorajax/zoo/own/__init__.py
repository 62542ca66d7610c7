"""A LoRA of a person's own pictures."""
