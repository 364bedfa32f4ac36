"""A labor market whose transition probabilities are known; `files` writes its workers in the surveys' formats."""
