"""Styles: compositions of graded picture attributes."""
