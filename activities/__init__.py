"""What Temporal runs as activities: the pumps, and the functions of the definitions."""
