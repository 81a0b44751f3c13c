"""What plain autodiff gets wrong: flips, the one mechanism, and the check that compares gradients with differences."""
