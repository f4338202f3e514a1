"""Race of encoders: which one is worth the whole catalogue, on growing samples of the train items."""
