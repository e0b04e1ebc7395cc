"""What a process sets up before it computes: devices, other machines, precision, profiles."""
