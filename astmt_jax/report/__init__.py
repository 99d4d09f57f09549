"""What a run learned, on one page that opens without a network."""
