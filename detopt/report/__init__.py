"""Figures and the one-page report: reads a run folder and nothing else."""
