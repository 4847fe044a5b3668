"""One file a page; `ui/app.py` routes to them."""
