"""NSE's website: sessions, requests, option chains."""
