"""The ecosystem's converters, for torch modules that no graph describes."""
