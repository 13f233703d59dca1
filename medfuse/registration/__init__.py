"""Step 2 of 8, register: bring the moving volume onto the fixed one, and say where it was seen."""
