"""The soak of the core: random operations against models, and what must be left when all is let go."""
