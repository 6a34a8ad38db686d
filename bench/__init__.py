"""What the project promises in figures, measured: `python -m bench [NAME ...]`, called by `make bench`."""
