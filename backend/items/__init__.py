"""What stands for an item now: every step stores, this room derives."""
