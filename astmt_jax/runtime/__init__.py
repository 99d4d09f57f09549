"""The program and the machine: processes, devices, signals, the terminal."""
