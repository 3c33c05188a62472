"""Streams of updates: one hub behind two doors, Socket.IO and plain WebSocket."""
