"""What is built and what it costs. The declarations here need no JAX; `surfaces` turns them into arrays."""
