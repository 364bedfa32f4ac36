"""Careers as words and tokens: templates, prompts, variants of titles, tokenization, shortening."""
