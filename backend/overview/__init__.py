"""Where each step stands and what to do next."""
