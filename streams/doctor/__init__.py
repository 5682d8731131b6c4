"""What `coda doctor` looks at: this machine, the servers, what is on disk."""
