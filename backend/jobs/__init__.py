"""Jobs: their rows, the queue, the worker, and the processes that it launches.

The row is the truth. `states` says what can follow what, `service` is what pages and commands
call, `worker` is the one process that carries jobs out.
"""
