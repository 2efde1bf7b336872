"""How good is a representation? Frozen features, measured beside controls under one declared protocol.

protocol    what is compared with what, written beside every number
features    images to embeddings
knn         the labels of similar images vote
linear      a linear classifier
retrieval   how early images of the same class are found
clustering  whether groups agree with classes
corruptions, robustness   what is left of it on images made worse
labelled    all of these that need labels
factors     the facts that made a synthetic image
controls    random weights, raw pixels
evaluate    all of these in one record
neighbours  which images are most similar
"""
