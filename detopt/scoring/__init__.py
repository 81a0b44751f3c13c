"""Estimates and cost to a score: resolution, efficiency, constraints."""
