"""The dashboard: Streamlit pages over `reading`, for a browser. They never ask a provider."""
