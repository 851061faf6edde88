"""What a structure says without any energy: separations, binding modes, spectra of given states."""
