"""YAML in, run folder out: the only room with side effects."""
