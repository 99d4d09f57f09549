"""A page in the browser that performs a run's tasks on any photo."""
