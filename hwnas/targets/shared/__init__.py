"""What deployment formats share: files, interfaces, quantisation, what a format is."""
