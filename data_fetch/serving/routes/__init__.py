"""Routes by what they are about. A route asks `reading` and shapes the answer."""
