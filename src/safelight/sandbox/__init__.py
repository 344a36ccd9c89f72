"""What a process that runs other people's code gives up, by its own act, before it does so. Linux; stdlib alone."""
