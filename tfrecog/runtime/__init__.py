"""What a process sets up before it computes: devices, precision, profiles."""
