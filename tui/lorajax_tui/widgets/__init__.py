"""One widget a file. Widgets render; they call nothing."""
