"""Occupation models without words: frequencies, logits, embeddings, CAREER, and the oracle of simulated markets."""
