"""What the application knows: intake, teacher, review, curation, jobs, runs, evaluation."""
