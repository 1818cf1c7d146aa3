"""What the bench of the reader is made of: a filled database, servers to compare with, and a load from outside."""
