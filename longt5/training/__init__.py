"""Pre-training and fine-tuning: corpus and tokenizer, objectives, batches, trainer."""
