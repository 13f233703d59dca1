"""Step 8 of 8, report: what a run made, for people and for machines."""
