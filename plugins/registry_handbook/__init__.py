"""Pages that explain the core's rules, with examples made of the built-in parts."""
