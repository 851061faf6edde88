"""Read structures as people have them: real files are dirty. What is mended is said, the rest refused."""
