"""What a student has to beat: models that need no GPU, taught the same posts or none.

Each gives probabilities in the files that the trainer's students give them in
(`predicted.py`), so that all are judged alike: thresholds chosen on validation posts, the same
figures, the same intervals.
"""
