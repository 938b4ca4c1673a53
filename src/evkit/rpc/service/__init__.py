"""What can be called: methods, their parameters, and the threads that run them."""
