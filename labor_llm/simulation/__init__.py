"""A simulated labor market with known transition probabilities, in the official raw formats."""
