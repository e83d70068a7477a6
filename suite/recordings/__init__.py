"""What is written while training for analyses to read: policy paths, norms, agents, batches."""
