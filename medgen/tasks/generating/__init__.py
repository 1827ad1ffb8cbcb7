"""From a prompt to images and their files: what is understood, made and said of them."""
