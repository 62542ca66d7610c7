"""Clusters: the groups of a collection, by what its LoRAs do.

density   unit vectors → a group each, or none
names     words that stand out in a group
clusters  both for a base model, numbered and kept in the library
"""

from lorajax.library.clusters.clusters import Cluster as Cluster
from lorajax.library.clusters.clusters import Clusters as Clusters
from lorajax.library.clusters.clusters import find_clusters as find_clusters
from lorajax.library.clusters.clusters import kept_clusters as kept_clusters
from lorajax.library.clusters.density import MIN_SIZE as MIN_SIZE
