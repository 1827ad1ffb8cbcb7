"""The engine: processes, samplers and denoisers; knows tensors and nothing else."""
