"""Score to better designs. A search sees `evaluate` and a box of design variables, and no physics."""
