"""Features to a physics estimate: neural heads, and the analytic baselines that they have to beat."""
