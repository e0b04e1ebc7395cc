"""Many runs of one experiment with named changes and seeds, and their comparison."""
