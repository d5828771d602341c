"""Chain daemons that others wrote, driven: started, asked, mined, stopped. `daemon` says what all of them can do."""
