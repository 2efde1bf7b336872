"""Turns a run into a finished run folder: options, job, training, checkpoints, what is kept."""
