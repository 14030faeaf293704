"""Places where labelled images are kept, all seen in the same way."""
