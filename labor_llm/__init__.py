"""LABOR-LLM: predict a worker's next occupation with a fine-tuned language model, and compare.

The package turns panel surveys into career histories (`labor_llm.careers`), career histories into
resume text (`labor_llm.text`), fine-tunes a causal language model on that text
(`labor_llm.finetuning`), computes the probability of every job title as the next job
(`labor_llm.scoring`), and compares it with baselines (`labor_llm.baselines`) by perplexity with
bootstrap standard errors (`labor_llm.evaluation`). The notebooks call these modules in that order.
"""

__version__ = "0.1.0"
