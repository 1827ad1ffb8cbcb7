"""From images to batches: intensity, grids, studies and the manifest."""
