"""Core ML neural networks for iOS 12, written, gated and executed without a Mac."""
