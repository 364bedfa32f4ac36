"""LABOR-LLM: predict a worker's next occupation with a fine-tuned language model, and compare.

The package turns panel surveys (`surveys`) into career histories (`careers`), these into resume text (`text`),
fine-tunes a causal language model on it (`finetuning`), computes the probability of every job title as the next job
(`scoring`), compares it with baselines (`baselines`) by perplexity with bootstrap standard errors (`evaluation`), and
makes the tables and figures (`exhibits`) of a book (`workflow`). README.md draws all rooms in their order.
"""

__version__ = "0.1.0"
