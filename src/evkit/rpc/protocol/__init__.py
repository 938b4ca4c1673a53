"""MessagePack-RPC without input and output: bytes in, checked messages out, and the two id spaces."""
