"""Baselines: frequencies, logits, boosted trees, CAREER, a logit on embeddings, the oracle of simulated markets."""
