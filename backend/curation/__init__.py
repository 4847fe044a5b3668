"""What is taught: browsing items, handlings, frozen dataset versions, exports."""
