"""Make the encoders agree: what belongs together lies together, whatever the modality."""
