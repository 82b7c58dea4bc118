"""What makes `generate` fast: a decoder step of fixed shapes, and when it takes the place of the general one."""
