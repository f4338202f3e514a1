"""TF-IDF features: compiled counting of words and character n-grams."""

# How texts are read: sign by sign, as models do that were fitted before there was another way; or with marks
# on their letters, and single characters as words where a script has no spaces.
CODE_POINTS, CHARACTERS = 1, 2
