"""Fine-tuning on some domains of a data set, selected on their held-out images, resumable bit for bit on a CPU."""
