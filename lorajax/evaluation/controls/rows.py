"""What the controls are called in every table of results."""

RANDOM = "random"
NORM = "norm_only"
SPECTRUM = "spectrum_only"
STATISTICS = "spectrum_statistics"
MEAN = "mean_only"
DOWN = "down_only"
W2W = "w2w_factors"
MBC = "mbc_svd64"
DSIRE = "dsire_spectra"
RAW = "raw_delta_cosine"
UNLEARNED = (NORM, SPECTRUM, DOWN, RAW)
CONTROLS = (RANDOM, NORM, SPECTRUM, STATISTICS, MEAN, DOWN, W2W, MBC, DSIRE, RAW)
