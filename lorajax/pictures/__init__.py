"""Pictures: image files come in; descriptions and likeness go out.

A rendered behaviour set shows what every LoRA of a collection does to the same captions
and noise. `behaviour_set` reads it, `descriptor` (or `image_encoder`, a model of one's
own) turns a picture into numbers, and `likeness` compares LoRAs by them. Nothing here
knows tags or weights.
"""
