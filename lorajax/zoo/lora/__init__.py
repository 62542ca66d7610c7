"""LoRAs of the base model: parametrised, trained, drawn with and written."""
