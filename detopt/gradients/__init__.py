"""What plain autodiff gets wrong, and a check that it is right: flips, the one mechanism, and the comparison with differences."""
