"""What the server and a worker say to each other, and how it is written on a pipe."""
