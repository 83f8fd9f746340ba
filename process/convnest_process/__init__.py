"""What the server and the worker do alike as processes: settings, logs, tether, broker."""
