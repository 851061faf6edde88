"""From a recipe to a shipped potential: start structures, labels, fit, validation, card."""
