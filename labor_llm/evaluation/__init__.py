"""Evaluation: functions of predictions alone, so that every kind of model is judged by the same code."""

from labor_llm.evaluation.bootstrap import bootstrap_differences, bootstrap_perplexity, worker_weights
from labor_llm.evaluation.perplexity import perplexity, perplexity_table

__all__ = [
    "bootstrap_differences",
    "bootstrap_perplexity",
    "perplexity",
    "perplexity_table",
    "worker_weights",
]
