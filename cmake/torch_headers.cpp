// Nothing: a target that only holds the precompiled headers of libtorch needs a source.
