//! WebSocket and HTTP API, rooms, presence, placement; serves the stage page.
