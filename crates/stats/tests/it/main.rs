//! One test binary: vectors from the design brief and SciPy, properties, and measured error rates.

mod vectors;
