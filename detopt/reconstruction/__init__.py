"""Hits to tracks: least squares with the full covariance."""
