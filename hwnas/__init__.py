"""hwnas: measured latency tables, budgeted architecture search, verified exports."""

__version__ = "0.1.0"
__all__ = ["__version__"]
