"""Who evaluates: this process, processes of its own, or tasks on a Ray cluster."""
