"""The input pipeline: from stored examples to batches on the devices."""
