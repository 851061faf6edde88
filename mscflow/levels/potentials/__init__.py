"""Machine-learned and pair potentials: which there are, how they are evaluated, what they were made for."""
