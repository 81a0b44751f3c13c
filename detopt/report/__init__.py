"""Figures and the one-page report: reads a run folder and nothing else."""

from detopt.report.drawing import draw_detector, draw_layout
from detopt.report.page import write_report

__all__ = ["draw_detector", "draw_layout", "write_report"]
