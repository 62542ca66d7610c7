"""One screen a file. Screens listen, start workers, and hand results to widgets."""
