"""LoRAs with known truth, and one's own on the small model.

Receives a recipe, hands out LoRAs and pictures.

    building  a collection, and the report of it
    lora      one LoRA from one's own captioned pictures
    sample    what LoRAs draw
"""
