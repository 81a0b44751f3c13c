"""What nature does: sources, the path of a particle, scattering."""
