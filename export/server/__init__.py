"""The parts of `export.serve`: what is asked, how pictures wait for the model, and what is answered."""
