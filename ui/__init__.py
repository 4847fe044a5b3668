"""The Streamlit pages: read a service, draw, call a service."""
