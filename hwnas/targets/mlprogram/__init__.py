"""Core ML's ML Programs for iOS 15 and later, written, gated and executed without a Mac."""
