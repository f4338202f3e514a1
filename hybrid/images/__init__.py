"""Images: poster files → pixels, content hashes and perceptual hashes."""
