"""The process that does a job's work: started by the runner, ended with it, and free to crash."""
