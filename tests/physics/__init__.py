"""Tests named after the law they test; what they are compared with is computed by hand, in NumPy, or published."""
