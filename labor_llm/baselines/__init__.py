"""Baselines: frequencies, logits, CAREER, a logit on a language model's embeddings, the oracle of simulated markets."""
