"""Fine-tunes: what they are given, how their job folder is written, what comes back, and champions."""
