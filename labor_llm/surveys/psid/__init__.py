"""The Panel Study of Income Dynamics: its files and layouts, the variables of its waves, and careers."""
