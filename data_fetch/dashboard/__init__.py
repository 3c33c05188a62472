"""The dashboard: Streamlit pages over `reading`, for a browser. They wait for no provider."""
