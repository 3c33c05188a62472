"""The loop, the job registry and rehearsals."""
