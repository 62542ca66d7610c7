"""Sheets of pictures with names at the left and captions above."""
