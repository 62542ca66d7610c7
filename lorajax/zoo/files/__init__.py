"""Files that appear whole under their names, with the same bytes every time."""
