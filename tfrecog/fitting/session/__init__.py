"""A fit from its beginning to its end: records, plan, training, and what a person does next."""
