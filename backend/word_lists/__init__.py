"""A team's own word list, as it was before there was a model."""
