"""Projects: one moderation problem each, with its policy, items, datasets and runs."""
