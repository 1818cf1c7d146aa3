"""The documents as a machine reads them, the generator of their generated parts, and the tests of both."""
