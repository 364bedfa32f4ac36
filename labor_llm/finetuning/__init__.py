"""Fine-tuning of a language model on resumes: settings, batches, loss, steps, processes, refits."""
