"""Text encoders: networks that turn an item's text into an embedding."""
